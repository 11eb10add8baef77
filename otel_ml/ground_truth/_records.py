"""Labels, their states, and the declared classes that they equal, as plain values."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from typing import Final, Literal, NamedTuple

from otel_ml._logged_prediction import LoggedPrediction

State = Literal["matched", "waiting", "duplicate", "revised", "failed"]
"""``revised``: another label was taken before; that one stays, and this one is counted but not stored."""

_UNCHECKED: Final = frozenset({"regression", "ranking", "multilabel"})
"""Tasks whose labels are not a single declared class."""
_WHOLE: Final = re.compile(r"(-?(?:0|[1-9]\d{0,15}))(?:\.0+)?", re.ASCII)
_BOOLEANS: Final = {"0": "False", "1": "True", "False": "0", "True": "1"}


class StoredLabel(NamedTuple):
    """One true label: its canonical class text, and the number behind it where there is one."""

    id: str
    label: str
    number: float | None
    labeled_at: float


class Joined(NamedTuple):
    """A prediction that has just got its label, once in all processes."""

    prediction: LoggedPrediction
    label: StoredLabel


class LabelOutcome(NamedTuple):
    """What became of a label."""

    state: State
    label: StoredLabel
    """As stored: under the id of its prediction, and as the declared class that it equals."""
    prediction: LoggedPrediction | None
    """None while the prediction is not known."""
    names_batch: bool = False
    """Whether the id is that of a batch of several rows."""


def declared_class(name: str, task: str, classes: Collection[str]) -> str | None:
    """Returns the declared class that a canonical text equals; None if it equals none.

    The text itself, or the class that is equal as a number: ``True``, ``1.0`` and ``1`` are one where only one of them
    is declared.
    """
    if name in classes or task in _UNCHECKED:
        return name
    found = _WHOLE.fullmatch(name)
    whole = found[1] if found is not None else name
    return next((other for other in (whole, _BOOLEANS.get(whole)) if other in classes), None)


def is_correct(prediction: LoggedPrediction, label: StoredLabel) -> bool | None:
    """Whether class and label agree; None for a regression or when no class was predicted."""
    if prediction.task == "regression" or prediction.predicted is None:
        return None
    return prediction.predicted == label.label


def seconds(moment: float | dt.datetime) -> float:
    """Returns seconds since the epoch; a datetime without a zone is local time, as everywhere in Python.

    Raises:
        ValueError: NaN or infinity.
    """
    value = moment.timestamp() if isinstance(moment, dt.datetime) else float(moment)
    if not math.isfinite(value):
        raise ValueError(f"{moment!r} is not a moment")
    return value
