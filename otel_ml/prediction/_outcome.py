"""The end of one prediction in plain values."""

from __future__ import annotations

from dataclasses import dataclass

from otel_ml.prediction._failure import Failure
from otel_ml.prediction.boundary._feature_batches import Features
from otel_ml.prediction.boundary._outputs import Output


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
    unpaired: dict[str, int] | None = None
    """Numbers of inputs, ids, moments and outputs of a batch if they differ: it is unknown which belong together."""
    is_unsure: bool | None = None
    """Whether the confidence of a row is low; None before somebody has looked."""

    @property
    def predicted(self) -> int:
        """Rows predicted; 0 for a failed call."""
        if self.failure is not None:
            return 0
        return 1 if self.rows is None else self.rows

    def moment(self, index: int) -> float | None:
        """When a row was predicted; None if the caller gave a moment that cannot be read."""
        if self.moments is not None:
            return self.moments[index] if index < len(self.moments) else None
        return self.end_ns / 1e9 if self.at is None else self.at

    def row_id(self, index: int) -> str:
        """The id of one row: the caller's, or ``<id>.<index>``."""
        given = self.row_ids[index] if self.row_ids is not None and index < len(self.row_ids) else None
        return f"{self.prediction_id}.{index}" if given is None else given
