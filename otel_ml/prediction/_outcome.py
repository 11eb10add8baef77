"""The end of one prediction in plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_ml import semconv
from otel_ml.prediction._failure import Failure
from otel_ml.prediction.boundary._feature_batch import Features
from otel_ml.prediction.boundary._outputs import Output

Segments = tuple[str, ...]
"""The segments of one row, one of each column, as they are exported."""


@dataclass(slots=True)
class Outcome:
    """Everything known about a finished prediction. Durations are in seconds."""

    prediction_id: str
    row_ids: list[str | None] | None
    """Ids that the caller gave to the rows of a batch; None for a value that is not an id."""
    rows: int | None
    """Rows of a batch; None for a single prediction."""
    output: Output | None
    features: Features | None
    failure: Failure | None
    duration: float | None
    """None if unknown."""
    end_ns: int
    first_item: float | None = None
    consent: bool = False
    """The caller passed the features in order to have them recorded."""
    at: float | None = None
    """Seconds since the epoch at which a prediction was made that is recorded later; of a batch the last row's."""
    moments: list[float | None] | None = None
    """Those of the rows, if the caller gave any; a row without one is not stored for labels."""
    is_job: bool = False
    """Whether the caller is a job that would rather wait for room in a queue than lose rows."""
    unpaired: dict[str, int] | None = None
    """Numbers of inputs, ids, moments and outputs of a batch if they differ: it is unknown which belong together."""
    segments: Sequence[Segments] | None = None
    """The segments of each input, at least one; None for a model without segment columns."""
    is_unsure: bool | None = None
    """Whether the confidence of a row is low; None before somebody has looked."""

    @property
    def predicted(self) -> int:
        """Rows predicted; 0 for a failed call."""
        if self.failure is not None:
            return 0
        return 1 if self.rows is None else self.rows

    def segments_of_rows(self, start: int, count: int) -> Sequence[Segments]:
        """Returns the segments of some rows of a model that has such columns."""
        given = self.segments or ()
        if len(given) == 1:
            return list(given) * count
        is_known = self.unpaired is None and self.rows is not None
        found = list(given[start : start + count]) if is_known else []
        return found + [(semconv.SEGMENT_MISSING_VALUE,) * len(given[0])] * (count - len(found))

    def moments_of_rows(self, start: int, count: int) -> list[float | None]:
        """Returns when some rows were predicted; None where the caller gave a moment that cannot be read."""
        if self.moments is None:
            return [self.end_ns / 1e9 if self.at is None else self.at] * count
        given = self.moments[start : start + count]
        return given + [None] * (count - len(given))

    def row_id(self, index: int) -> str:
        """The id of one row: the caller's, or ``<id>.<index>``."""
        return self.ids_of_rows(index, 1)[0]

    def ids_of_rows(self, start: int, count: int) -> list[str]:
        """Returns the ids of some rows: the caller's, or ``<id>.<index>``."""
        given = [] if self.row_ids is None else self.row_ids[start : start + count]
        given += [None] * (count - len(given))
        prefix = self.prediction_id
        return [f"{prefix}.{index}" if name is None else name for index, name in enumerate(given, start)]
