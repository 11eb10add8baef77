"""Predictions in own mode on the general path: counted in per-thread cells, handed to the worker as one record."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_ml import _guard, semconv
from otel_ml._telemetry.histograms import Exemplar, HistogramCell
from otel_ml._telemetry.ports import Clock, Engine, State
from otel_ml._telemetry.predictions.cells import CellSet
from otel_ml._telemetry.predictions.model_cells import ModelCells, ModelIdentity
from otel_ml._telemetry.records import EventData, SpanData
from otel_ml.prediction._event import events
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Outcome, Segments
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._sdk_spans import SdkSpans
from otel_ml.prediction.binding._binding import Binding
from otel_ml.prediction.boundary._feature_batch import FeatureBatch
from otel_ml.prediction.boundary._feature_rows import SMALL_ROW, row_size
from otel_ml.prediction.boundary._outputs import Output
from otel_ml.prediction.segments._counts import failed_rows, predicted_rows, timed_segments

if TYPE_CHECKING:
    from opentelemetry.context import Context

MANY_SCORES = 64
"""Scores of a batch that are sorted into buckets at once."""


class OwnBinding(Binding):
    """A model bound to the engine's cells."""

    counts_segments = False
    """Whether it has segments and is not counted as `semconv.OTHER` together with other models."""

    def __init__(self, state: State, policy: ModelPolicy, observers: Observers, engine: Engine) -> None:
        super().__init__(state, policy, observers)
        self.engine = engine
        identity = ModelIdentity(self.spec.name, self.spec.version, self.spec.role)
        self.cells = engine.cells(identity, self.spec)
        if self.segment_reader is not None and self.cells.identity == identity:
            self.counts_segments = True
            self._begin_segments()
        # Prometheus cannot see the first increase of a series that starts above 0.
        for label in self.spec.counted_classes:
            self.cells.mine().classes.setdefault(self.class_label(label), 0)
        self.clock = engine.clock
        self.exemplars = engine.exemplars
        self.has_consumers = engine.has_exporters or observers.exist
        self.offer = engine.offer if self.has_consumers else _refuse

    def _begin_segments(self) -> None:
        """Starts the series of the segments that are known beforehand at 0."""
        cells, has_monitor = self.cells.mine(), self.monitor is not None
        self.cells.counts_missing = self.cells.counts_missing or has_monitor
        self.observers.add_missing = partial(_add_missing, self.cells, self.spec.segments) if has_monitor else None
        self.cells.segment_classes = self.segment_classes()
        for segment in self.spec.known_segments():
            cells.segment(segment)

    def predict(self, features: Any, given_id: Any) -> Prediction:
        return SdkPrediction(self, features, given_id)

    def count_stage(self, name: str, seconds: float, context: Context) -> None:  # noqa: ARG002
        self.cells.mine().stage(self.stage_label(name)).record(seconds)

    def _count_unrecognised(self) -> None:
        self.cells.mine().unrecognised += 1

    def _add_omissions(self, reason: str, count: int) -> None:
        omissions = self.cells.mine().omissions
        omissions[reason] = omissions.get(reason, 0) + count


def _add_missing(cell_set: CellSet, columns: Sequence[str], segments: Segments, count: int) -> None:
    """Counts missing values of rows with these segments."""
    cells = cell_set.mine()
    for segment in zip(columns, segments, strict=True):
        cells.segment(segment).missing += count


def _refuse(record: object) -> bool:  # noqa: ARG001
    """Takes no record: there is no exporter of spans or events, and no observer."""
    return False


def _size(outcome: Outcome) -> int:
    """Returns about how many bytes the features of a prediction take."""
    features = outcome.features
    return features.size() if isinstance(features, FeatureBatch) else row_size(features) if features else 0


class GeneralRecord:
    """A finished prediction that waits for the worker; implements `_telemetry.records.Record`."""

    __slots__ = ("_observed", "_outcome", "_prediction", "event_count", "span_count")

    def __init__(self, prediction: OwnPrediction, outcome: Outcome, *, spans: int, events: int, observed: bool) -> None:
        self._prediction = prediction
        self._outcome = outcome
        self._observed = observed
        self.span_count = spans
        self.event_count = events

    def render(self) -> tuple[list[SpanData], list[EventData]]:
        """Builds the spans and the events of the prediction."""
        prediction, outcome = self._prediction, self._outcome
        spans = prediction._span_data(outcome) if self.span_count else []
        policy = prediction._binding.policy
        return spans, events(policy, outcome, prediction._ids()) if self.event_count else []

    def observe(self) -> None:
        """Counts the features' bins and logs the prediction to the store of ground truth."""
        if self._observed:
            self._prediction._binding.observers.observe(self._outcome, self._prediction._ids())


class OwnPrediction(Prediction):
    """Metrics and event of own mode; subclasses add the span."""

    _exemplar = False
    _binding: OwnBinding

    @property
    def _clock(self) -> Clock:  # type: ignore[override]
        return self._binding.clock

    def _new_id(self) -> str:
        return f"{self._binding.engine.ids.prediction_number():032x}"

    def _ids(self) -> tuple[int, int, int]:
        """Returns trace id, span id and trace flags."""
        raise NotImplementedError

    def _close(self, outcome: Outcome) -> None:
        binding = self._binding
        cells = binding.cells.mine()
        cells.finished += 1
        ids = self._ids()
        sampled = bool(ids[2] & 1)
        drawn = ids if sampled and binding.exemplars else None
        self._count(cells, outcome, drawn)
        if binding.counts_segments:
            _guard.call("prediction.segments", self._count_segments, cells, outcome)
        if outcome.rows is not None:
            binding.observers.count_outputs(outcome)
        event_count = binding.policy.count_events(outcome, sampled=sampled)
        observed = binding.observers.wants(outcome)
        if outcome.is_job:
            if sampled or event_count or observed:
                _guard.call("prediction.wait", binding.engine.wait_for_room, _size(outcome))
            binding.observers.log_job(outcome, ids)
        for start, part in self._slices(outcome):
            self._count_rows(cells, part, outcome, drawn)
            if binding.counts_segments:
                _guard.call("prediction.segments", self._count_segment_rows, cells, outcome, part, start)
            binding.observers.observe_slice(outcome, part, start, ids)
        spans = _guard.call("prediction.span", self._end, outcome) or 0
        if outcome.output is not None:
            outcome.output.keep(binding.observers.rows_needed(outcome))
        if not (
            binding.has_consumers
            and (spans or event_count or observed)
            and self._offer(GeneralRecord(self, outcome, spans=spans, events=event_count, observed=observed), outcome)
        ):
            self._let_go()

    def _offer(self, record: GeneralRecord, outcome: Outcome) -> bool:
        """Hands the record to the worker; False when there was no room."""
        size = _size(outcome)
        if size > SMALL_ROW:
            return self._binding.engine.offer_sized(record, size, wait=outcome.is_job)
        return self._binding.offer(record)

    def _let_go(self) -> None:
        """Drops what only a record needs, when there is none: a caller may keep the prediction."""

    def _abandon(self) -> None:
        self._binding.cells.mine().finished += 1

    def _count(self, cells: ModelCells, outcome: Outcome, ids: tuple[int, int, int] | None) -> None:
        failure = outcome.failure
        if failure is not None:
            self._count_call(cells.failure(self._binding.error_label(failure.type)), outcome, ids)
            return
        self._count_call(cells.durations, outcome, ids)
        if outcome.first_item is not None:
            self._measure(cells.first_items, outcome.first_item, outcome, ids)
        if outcome.rows is not None:
            self._measure(cells.batch_sizes, outcome.rows, outcome, ids)
        classes = cells.classes
        output = outcome.output
        if output is None:
            classes[None] = classes.get(None, 0) + outcome.predicted
            return
        self._count_rows(cells, output, outcome, ids)

    def _count_rows(
        self, cells: ModelCells, output: Output, outcome: Outcome, ids: tuple[int, int, int] | None
    ) -> None:
        classes = cells.classes
        for label, times in output.class_counts().items():
            key = None if label is None else self._binding.class_label(label)
            classes[key] = classes.get(key, 0) + times
        scores = output.measured_scores()
        if len(scores) < MANY_SCORES:
            for score in scores:
                self._measure(cells.scores, score, outcome, ids)
            return
        cells.scores.record_all(scores)  # sorts them: the first of each bucket may be its exemplar
        for bound in (float("-inf"), *cells.scores.bounds):
            position = bisect_right(scores, bound)
            if ids is not None and position < len(scores):
                self._offer_exemplar(cells.scores, scores[position], outcome, ids)

    def _count_segments(self, cells: ModelCells, outcome: Outcome) -> None:
        """Counts the rows of a call by segment."""
        columns = self._binding.spec.segments
        if outcome.failure is None:
            self._count_segment_rows(cells, outcome, outcome.output, 0)
        for segment, rows in failed_rows(columns, outcome):
            cells.segment(segment).errors += rows
        for segment, seconds in timed_segments(columns, outcome):
            cells.segment(segment).durations.record(seconds)

    def _count_segment_rows(self, cells: ModelCells, outcome: Outcome, output: Output | None, start: int) -> None:
        binding = self._binding
        for added in predicted_rows(binding.spec.segments, outcome, output, start, binding.segment_class):
            cell = cells.segment(added.segment)
            for label, times in added.classes.items():
                cell.classes[label] = cell.classes.get(label, 0) + times
            cell.scores.record_all(added.scores)

    def _count_call(self, cell: HistogramCell, outcome: Outcome, ids: tuple[int, int, int] | None) -> None:
        if outcome.duration is None:
            cell.unmeasured += 1
        else:
            self._measure(cell, outcome.duration, outcome, ids)

    def _measure(self, cell: HistogramCell, value: float, outcome: Outcome, ids: tuple[int, int, int] | None) -> None:
        """Adds a value to a histogram, and offers the span as its exemplar."""
        cell.record(value)
        if ids is not None:
            self._offer_exemplar(cell, value, outcome, ids)

    def _offer_exemplar(self, cell: HistogramCell, value: float, outcome: Outcome, ids: tuple[int, int, int]) -> None:
        bucket = bisect_left(cell.bounds, value)
        if bucket not in cell.exemplars:
            # of a prediction made earlier too, an exemplar lies in the interval in which it is counted
            moment = outcome.end_ns if outcome.at is None else self._clock.time_ns()
            exemplar = Exemplar(float(value), moment, ids[0], ids[1])
            self._exemplar = cell.offer(bucket, exemplar) or self._exemplar

    def _end(self, outcome: Outcome) -> int:
        """Ends the span; returns how many spans the record has to carry."""
        raise NotImplementedError

    def _span_data(self, outcome: Outcome) -> list[SpanData]:  # noqa: ARG002
        """Builds the spans that the record carries; on the worker."""
        return []


class SdkPrediction(SdkSpans, OwnPrediction):
    """A prediction whose span the SDK makes, because a third-party span processor or id generator needs it."""

    def _ids(self) -> tuple[int, int, int]:
        span_context = self._sdk_span.get_span_context()
        return span_context.trace_id, span_context.span_id, int(span_context.trace_flags)

    def _open(self, context: Context) -> None:
        self._binding.cells.mine().started += 1
        self._start_span(self._binding.tracer, context)

    def _end(self, outcome: Outcome) -> int:
        if self._exemplar:
            self._sdk_span.set_attribute(semconv.EXEMPLAR, True)
        self._end_span(outcome, outcome.end_ns)
        return 0
