"""What the store keeps of a prediction and of its label, as plain values."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection
from typing import Final, Literal, NamedTuple

State = Literal["matched", "waiting", "duplicate", "revised", "failed"]
"""``revised``: another label was taken before; that one stays, and this one is counted but not stored."""

_UNCHECKED: Final = frozenset({"regression", "ranking", "multilabel"})
"""Tasks whose labels are no single class of the declared ones."""
_WHOLE: Final = re.compile(r"(-?(?:0|[1-9]\d{0,15}))(?:\.0+)?", re.ASCII)
_BOOLEANS: Final = {"0": "False", "1": "True", "False": "0", "True": "1"}


class StoredPrediction(NamedTuple):
    """One prediction without its features."""

    id: str
    model: str
    version: str
    role: str
    task: str
    positive: str | None
    """Class text of the positive class of a binary task."""
    predicted_at: float
    """Seconds since the epoch."""
    predicted: str | None
    """Canonical class text; None for a regression."""
    value: float | None
    """The predicted number of a regression."""
    score: float | None
    trace_id: str
    """32 hex digits; zeros without a trace."""
    span_id: str
    sampled: bool
    classes: str | None = None
    """Key of the set of classes that its model declared."""


class Logged(NamedTuple):
    """A prediction on its way into the store, with what is stored beside it."""

    prediction: StoredPrediction
    class_set: str | None = None
    """JSON text of the declared classes, stored once under their key."""
    aliases: tuple[tuple[str, str | None], ...] = ()
    """Further ids that a label may come under, each with the id that it leads to; None: the batch has several rows."""


class StoredLabel(NamedTuple):
    """One true label: its canonical class text, and the number behind it where there is one."""

    id: str
    label: str
    number: float | None
    labeled_at: float


class Joined(NamedTuple):
    """A prediction that has just got its label, once in all processes."""

    prediction: StoredPrediction
    label: StoredLabel


class Settled(NamedTuple):
    """What became of a label."""

    state: State
    label: StoredLabel
    """As stored: under the id of its prediction, and as the declared class that it equals."""
    prediction: StoredPrediction | None
    declared: tuple[str, ...] = ()
    """The declared classes, when the label failed because it is none of them."""
    names_batch: bool = False
    """Whether the id is that of a batch of several rows."""


def declared_class(name: str, task: str, classes: Collection[str]) -> str | None:
    """The declared class that a canonical text stands for; None when it is none of them.

    The text itself, or the class that is equal as a number: ``True``, ``1.0`` and ``1`` are one where only one of them
    is declared.
    """
    if name in classes or task in _UNCHECKED:
        return name
    found = _WHOLE.fullmatch(name)
    whole = found[1] if found is not None else name
    return next((other for other in (whole, _BOOLEANS.get(whole)) if other in classes), None)


def is_correct(prediction: StoredPrediction, label: StoredLabel) -> bool | None:
    """Whether class and label agree; None for a regression or when no class was predicted."""
    if prediction.task == "regression" or prediction.predicted is None:
        return None
    return prediction.predicted == label.label


def seconds(moment: float | dt.datetime) -> float:
    """Seconds since the epoch; a datetime without a zone is local time, as everywhere in Python.

    Raises:
        ValueError: NaN or infinity.
    """
    value = moment.timestamp() if isinstance(moment, dt.datetime) else float(moment)
    if not math.isfinite(value):
        raise ValueError(f"{moment!r} is not a moment")
    return value
