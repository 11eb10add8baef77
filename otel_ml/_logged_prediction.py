"""A prediction on its way to the store of ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class LoggedPrediction(NamedTuple):
    """One prediction, or one row of a batch, without its features.

    A named tuple, since each prediction makes two: a frozen dataclass of so many fields takes four times as long.
    """

    id: str
    """The id under which its label will come."""
    model: str
    version: str
    role: str
    """``primary``, ``canary`` or ``shadow``."""
    task: str
    """The task, as in `Model`."""
    positive: str | None
    """Class text of the positive class of a binary task."""
    predicted_at: float
    """Seconds since the epoch."""
    predicted: str | None
    """Canonical class text; None for a regression."""
    value: float | None
    """The predicted number of a regression."""
    score: float | None
    """The score; for a binary task that of the positive class."""
    trace_id: int
    """0 without a trace."""
    span_id: int
    sampled: bool
    """Whether the trace is recorded."""
    classes: Sequence[str] | None = None
    """The declared classes, as class texts; a label must be one of them, or equal to one."""
    batch_id: str | None = None
    """Id of the batch of which this is a row; a label for the only row of a batch may use it too."""
    batch_rows: int | None = None
    """Rows of that batch."""
