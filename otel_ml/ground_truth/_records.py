"""What the store keeps of a prediction and of its label, as plain values."""

from __future__ import annotations

import datetime as dt
import math
from typing import Literal, NamedTuple

State = Literal["matched", "waiting", "duplicate", "revised", "failed"]


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
