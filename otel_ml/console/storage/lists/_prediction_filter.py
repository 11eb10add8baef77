"""What a list of predictions can be narrowed to, as SQL conditions on events, their rows and their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_ml.console.storage.lists._conditions import Conditions
from otel_ml.console.storage.lists._feature_condition import equal

if TYPE_CHECKING:
    from otel_ml.console.storage.lists._conditions import Place
    from otel_ml.console.storage.lists._feature_condition import FeatureCondition

_TRUTHS: Final = {
    "right": "correct",
    "wrong": "not correct",
    "labelled": "labelled_ns is not null",
    "unlabelled": "labelled_ns is null and not failed",
}
TRUTHS: Final = tuple(_TRUTHS)
ITEM: Final = "item"
"""What conditions on a row of a batch call it."""
_SCORE: Final = f"try_cast(json_extract_string({ITEM}, '/score') as double)"


@dataclass(frozen=True)
class PredictionFilter:
    """Selects predictions: newest first, at most `limit`. A batch is listed if one of its rows fits everything."""

    limit: int = 100
    model: str | None = None
    version: str | None = None
    role: str | None = None
    service: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    id: str | None = None
    """How the id begins; or `<id>.<i>`, a row of a batch."""
    trace_id: str | None = None
    outcome: str | None = None
    """The predicted class."""
    label: str | None = None
    truth: str | None = None
    """One of `TRUTHS`."""
    failed: bool | None = None
    error_type: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    features: tuple[FeatureCondition, ...] = field(default=())
    segment: tuple[str, str] | None = None
    """Column and value as metrics name them, or `semconv.OTHER` or `semconv.SEGMENT_MISSING_VALUE`."""
    after: Place | None = None
    before: Place | None = None
    """If given, rows are the ones before this place, the nearest first."""

    def events(self) -> Conditions:
        """The conditions on columns."""
        found = Conditions()
        for column in ("model", "version", "role", "error_type", "failed", "trace_id"):
            found.add(f"{column} = ?", getattr(self, column))
        found.add("service_name = ?", self.service)
        in_batch = "batch_size is not null and starts_with(?, prediction_id || '.')"
        found.add(f"(starts_with(prediction_id, ?) or {in_batch})", self.id, self.id)
        # a database sorts NaN above all numbers
        found.add("duration between ? and 'infinity'", self.min_duration)
        found.add("duration <= ?", self.max_duration)
        found.add_window(self.since_ns, self.until_ns)
        found.add_place(self.after)
        found.add_place_before(self.before)
        return found

    def alone(self) -> Conditions:
        """The conditions on what a prediction that is no batch has in its event."""
        found = Conditions()
        found.add("predicted_class = ?", self.outcome)
        return self._add_content(found, "body", "score")

    def row(self) -> Conditions:
        """The conditions on one row of a batch, of which there is only JSON."""
        found = Conditions()
        if self.outcome is not None:
            sql, values = equal(ITEM, "/prediction", self.outcome)
            found.add(sql, *values)
        return self._add_content(found, ITEM, _SCORE)

    def _add_content(self, found: Conditions, row: str, score: str) -> Conditions:
        found.add(f"{score} between ? and 'infinity'", self.min_score)
        found.add(f"{score} <= ?", self.max_score)
        for feature in self.features:
            sql, values = feature.sql(row)
            found.add(sql, *values)
        return found

    def truths(self) -> Conditions:
        """The conditions on the label of a prediction, or of one row of a batch."""
        found = Conditions()
        found.add("label = ?", self.label)
        if self.truth is not None:
            found.add(_TRUTHS[self.truth])
        return found

    @property
    def is_about_rows(self) -> bool:
        """Whether of a batch single rows are listed, those that fit."""
        return self.segment is not None or bool(self.alone().values) or self.truths().where != "true"
