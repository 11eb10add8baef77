"""Predictions on their way to the store of ground truth, one by one or by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from otel_ml._figures.label_bins import LabelBins
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._values import line

NAME_LIMIT: Final = 128
"""Characters of the name of a model, and of its version."""


def name_text(name: object) -> str:
    """Returns the name or the version of a model as it is stored and exported."""
    return line(name if isinstance(name, str) else str(name), NAME_LIMIT)


class LoggedPrediction(NamedTuple):
    """One prediction, or one row of a batch, without its features."""

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
    """Canonical class text; None for a regression. A set of classes or a ranking is a text as of `_label_values`."""
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
    probabilities: Sequence[float] | None = None
    """The probability of each declared class, in their order; of a multiclass or multilabel task."""
    segments: Mapping[str, str] | None = None
    """The segment of each segment column, as it is exported; None without such columns."""


_COLUMNS: Final = ("ids", "predicted_at", "predicted", "values", "scores", "trace_ids", "span_ids", "sampled")


class LoggedModel(NamedTuple):
    """The fields of `LoggedPrediction` that all predictions of a model share."""

    model: str
    version: str
    role: str
    task: str
    positive: str | None
    classes: Sequence[str] | None
    label_bins: LabelBins | None = None
    """The bins of the labels of its reference."""
    segments: tuple[str, ...] = ()
    """The names of its segment columns."""
    calibration: Calibration | None = None
    """The probabilities behind its scores, in its classes."""


@dataclass(frozen=True, slots=True)
class LoggedRows:
    """Predictions of one model by column, such as the rows of a batch. All values are plain, clean and bounded."""

    model: LoggedModel
    ids: Sequence[str]
    predicted_at: Sequence[float]
    predicted: Sequence[str | None]
    values: Sequence[float | None]
    scores: Sequence[float | None]
    trace_ids: Sequence[str]
    """32 hexadecimal digits."""
    span_ids: Sequence[str]
    """16 hexadecimal digits."""
    sampled: Sequence[bool]
    batch_id: str | None = None
    """Id of the batch whose rows they are."""
    batch_rows: int | None = None
    """Rows of that batch; these may be some of them."""
    probabilities: Sequence[Sequence[float] | None] | None = None
    """The probability of each declared class; None if no row has them."""
    segments: Sequence[tuple[str, ...]] | None = None
    """The segments of each row, in the order of the model's segment columns; None without such columns."""

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int | None = None) -> LoggedRows:
        """Returns the rows from one position to another."""
        return replace(self, **{name: getattr(self, name)[start:stop] for name in self._filled()})

    def take(self, positions: Sequence[int]) -> LoggedRows:
        """Returns the rows at some positions."""
        columns: dict[str, Any] = {
            name: [getattr(self, name)[position] for position in positions] for name in self._filled()
        }
        return replace(self, **columns)

    def _filled(self) -> tuple[str, ...]:
        """Returns the names of the columns that there are."""
        more = [name for name in ("probabilities", "segments") if getattr(self, name) is not None]
        return (*_COLUMNS, *more)

    def predictions(self) -> Iterator[LoggedPrediction]:
        """Yields the rows one by one."""
        name, version, role, task, positive, classes = self.model[:6]
        columns = self.model.segments
        for index, row_id in enumerate(self.ids):
            yield LoggedPrediction(
                id=row_id,
                model=name,
                version=version,
                role=role,
                task=task,
                positive=positive,
                predicted_at=self.predicted_at[index],
                predicted=self.predicted[index],
                value=self.values[index],
                score=self.scores[index],
                trace_id=int(self.trace_ids[index], 16),
                span_id=int(self.span_ids[index], 16),
                sampled=self.sampled[index],
                classes=classes,
                batch_id=self.batch_id,
                batch_rows=self.batch_rows,
                probabilities=None if self.probabilities is None else self.probabilities[index],
                segments=None if self.segments is None else dict(zip(columns, self.segments[index], strict=True)),
            )
