"""What the fast records of one model share: how the worker renders and observes them."""

from __future__ import annotations

from collections.abc import Sequence

from otel_ml import semconv
from otel_ml._telemetry.records import (
    LABEL,
    ROW,
    SCORE,
    SOURCE,
    EventData,
    FastRecord,
    FastRecordValues,
    Shape,
    SpanData,
)
from otel_ml._values.json_texts import flat_json
from otel_ml.prediction._event import event, span_attributes
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction.boundary._feature_rows import scalar_row
from otel_ml.prediction.boundary._outputs import Output

NAMES_KEPT = 128
"""Different sets of feature names that a handle remembers as clean."""


class FastRecordSource:
    """The part of a fast binding that the worker calls; implements `_telemetry.records.RecordSource`."""

    span_name: str
    policy: ModelPolicy
    observers: Observers
    captures_all: bool
    known_names: set[tuple[str, ...]]
    """Names of clean rows, which repeat: a service always predicts from the same features."""

    def checked(self, record: FastRecord) -> FastRecord:
        row = record.row
        if row is None:
            return record
        names = tuple(row)
        clean = scalar_row(row)
        if clean is None:
            kept = self.policy.snapshot(row)
            return record._replace(row=kept if isinstance(kept, dict) else None)
        matched = self.policy.match(clean)
        if matched is not clean:
            return record._replace(row=matched)
        if len(self.known_names) < NAMES_KEPT:
            self.known_names.add(names)
        return record

    def body(self, label: str, score: float, row: dict[str, object] | None) -> bytes:
        if row is None or not self.captures_all:
            return self.policy.body(row, label, score)
        return flat_json({"features": row, "prediction": label, "score": score})

    def render(self, record: FastRecord) -> tuple[list[SpanData], list[EventData]]:
        outcome = to_outcome(record)
        ids = (record.trace_id, record.span_id, record.shape & Shape.FLAGS)
        spans = [self._span(record, outcome), *record.stages] if record.span_count else []
        return spans, [event(self.policy, outcome, ids)] if record.event_count else []

    def prototype(self, record: FastRecord) -> tuple[SpanData, EventData]:
        outcome = to_outcome(record)
        ids = (record.trace_id, record.span_id, record.shape & Shape.FLAGS)
        return self._span(record, outcome), event(self.policy, outcome, ids)

    def observe(self, records: Sequence[FastRecordValues]) -> None:
        labels, scores = [record[LABEL] for record in records], [record[SCORE] for record in records]
        if self.policy.spec.score_check is not None:
            self.policy.spec.check_scores(labels, scores)
        segments = [record[SOURCE].combination for record in records] if self.policy.spec.segments else None
        self.observers.count_rows([record[ROW] for record in records], labels, scores, segments)
        self.observers.log_fast(records)

    def _span(self, record: FastRecord, outcome: Outcome) -> SpanData:
        attributes = span_attributes(self.policy.spec, outcome)
        if record.shape & Shape.IS_EXEMPLAR:
            attributes[semconv.EXEMPLAR] = True
        return SpanData(
            name=self.span_name,
            trace_id=record.trace_id,
            span_id=record.span_id,
            parent_span_id=record.parent_id,
            trace_flags=1,
            start_ns=record.end_ns - record.elapsed_ns,
            end_ns=record.end_ns,
            attributes=attributes,
            parent_is_remote=bool(record.shape & Shape.PARENT_IS_REMOTE),
        )


def to_outcome(record: FastRecord) -> Outcome:
    """Returns the prediction in the form that both paths share."""
    return Outcome(
        prediction_id=record.prediction_id,
        row_ids=None,
        rows=None,
        output=Output(None, [record.label], [None], [record.score]),
        features=record.row,
        failure=None,
        duration=record.elapsed_ns / 1e9,
        end_ns=record.end_ns,
    )
