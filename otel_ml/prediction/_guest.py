"""Predictions in guest mode: the same telemetry through the OTel API, with any SDK behind it or none."""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from otel_ml import _guard, semconv
from otel_ml._instruments import create
from otel_ml._telemetry import ids
from otel_ml._telemetry.ports import State
from otel_ml._telemetry.records import Attributes, EventData
from otel_ml.prediction._context import PREDICTIONS_KEY
from otel_ml.prediction._event import events
from otel_ml.prediction._guest_segments import GuestSegments
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._sdk_spans import SdkSpans
from otel_ml.prediction.binding._binding import Binding
from otel_ml.prediction.boundary._outputs import Output

_NO_SPAN = Context({PREDICTIONS_KEY: None})
"""A context that is not empty, which would stand for the current one."""
_SEVERITY = {"INFO": SeverityNumber.INFO, "ERROR": SeverityNumber.ERROR}


class Instruments:
    """The instruments of predictions on one meter."""

    def __init__(self, meter: Meter) -> None:
        self.errors: metrics.Counter = create(meter, semconv.PREDICTION_ERRORS)
        self.unrecognised: metrics.Counter = create(meter, semconv.UNRECOGNISED_OUTPUTS)
        self.untimed: metrics.Counter = create(meter, semconv.PREDICTION_UNTIMED)
        self.omissions: metrics.Counter = create(meter, semconv.OMISSIONS)
        self.duration: Histogram = create(meter, semconv.PREDICTION_DURATION)
        self.score: Histogram = create(meter, semconv.PREDICTION_SCORE)
        self.batch_size: Histogram = create(meter, semconv.PREDICTION_BATCH_SIZE)
        self.stage_duration: Histogram = create(meter, semconv.PREDICTION_STAGE_DURATION)
        self.first_item: Histogram = create(meter, semconv.PREDICTION_FIRST_ITEM_DURATION)


class GuestBinding(Binding):
    """A model bound to instruments of the OTel API.

    Args:
        state: The mode in force, without an engine.
        policy: What may leave, and what is an event.
        observers: What looks at features.
        was_configured: Whether the handle comes from a process in which telemetry was configured.
    """

    def __init__(
        self, state: State, policy: ModelPolicy, observers: Observers, *, was_configured: bool = False
    ) -> None:
        super().__init__(state, policy, observers)
        self._lacks_configure = was_configured and state.policy is None
        self.instruments = Instruments(self.meter)
        self.logger = get_logger(semconv.SCOPE)
        self.counts = self._gauges.counts(self.spec)
        for label in self.spec.counted_classes:
            self.counts.add(self.class_label(label), 0)
        self.segments: GuestSegments | None = None
        if self.segment_reader is not None:
            self.segments = GuestSegments(self.meter, self.counts, self)
            observers.add_missing = self.segments.add_missing
        self._seed()
        self._seeded = False

    def predict(self, features: Any, given_id: Any) -> Prediction:
        if not self._seeded:  # points added before the service set its provider were dropped
            self._seeded = True
            self._seed()
            self._warn_if_alone()
        return GuestPrediction(self, features, given_id)

    def _seed(self) -> None:
        """Starts the counter at 0: Prometheus cannot see the first increase of a series that starts above it."""
        self.instruments.errors.add(0, self.attributes)

    def _warn_if_alone(self) -> None:
        """Logs a line where a handle has arrived and telemetry has not, as in the workers of a process pool."""
        if self._lacks_configure and _is_without_sdk():
            _guard.warn_once(
                "handle.unconfigured",
                f"otel-ml: model {self.spec.name!r} came from another process, and nothing of it is exported from this "
                "one: call configure() here too, in the module of the function or in the pool's initializer",
            )

    def count_stage(self, name: str, seconds: float, context: Context) -> None:
        attributes = {**self.attributes, semconv.STAGE_NAME: self.stage_label(name)}
        self.instruments.stage_duration.record(seconds, attributes, context=context)

    def _count_unrecognised(self) -> None:
        self.instruments.unrecognised.add(1, self.attributes)

    def _add_omissions(self, reason: str, count: int) -> None:
        self.instruments.omissions.add(count, {**self.attributes, semconv.OMISSION_REASON: reason})


def _is_without_sdk() -> bool:
    return isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


class GuestPrediction(SdkSpans, Prediction):
    """A prediction recorded through the OTel API alone."""

    _binding: GuestBinding
    _clock = time

    def _new_id(self) -> str:
        return f"{ids.RANDOM.prediction_number():032x}"

    def _open(self, context: Context) -> None:
        self._binding.counts.begin()
        self._start_span(self._binding.tracer, context)

    def _close(self, outcome: Outcome) -> None:
        """Counts, emits, observes and ends the span, each under a guard: a third-party hook may fail in any of them."""
        context = self._span_context()
        span_context = self._sdk_span.get_span_context()
        ids_ = (span_context.trace_id, span_context.span_id, int(span_context.trace_flags))
        self._binding.counts.end()
        _guard.call("prediction.count", self._count, outcome, context)
        if outcome.rows is not None:
            self._binding.observers.count_outputs(outcome)
        self._binding.observers.log_job(outcome, ids_)
        if outcome.output is not None and outcome.output.rest is not None:
            _guard.call("prediction.slices", self._count_slices_of_output, outcome, context, ids_)
        policy, observers = self._binding.policy, self._binding.observers
        event_count = policy.count_events(outcome, sampled=bool(ids_[2] & 1))
        if outcome.output is not None:
            outcome.output.keep(observers.rows_needed(outcome))
        found = _guard.call("prediction.event", events, policy, outcome, ids_) if event_count else None
        for data in found or ():
            _guard.call("prediction.event", self._emit, data, context)
        if observers.wants(outcome):
            observers.observe(outcome, ids_)
        self._end_span(outcome, outcome.end_ns)

    def _abandon(self) -> None:
        self._binding.counts.end()
        self._sdk_span.end()

    def _count(self, outcome: Outcome, context: Context) -> None:
        instruments, attributes = self._binding.instruments, self._binding.attributes
        failure = outcome.failure
        if self._binding.segments is not None:
            self._binding.segments.count(outcome, context)
        if failure is not None:
            failed = {**attributes, semconv.ERROR_TYPE: self._binding.error_label(failure.type)}
            self._count_call(outcome, failed, context)
            instruments.errors.add(1, failed, context=context)
            return
        self._count_call(outcome, attributes, context)
        if outcome.first_item is not None:
            instruments.first_item.record(outcome.first_item, attributes, context=context)
        if outcome.rows is not None:
            instruments.batch_size.record(outcome.rows, attributes, context=context)
        output = outcome.output
        if output is None:
            self._binding.counts.add(None, outcome.predicted)
            return
        self._count_rows(output, context)

    def _count_slices_of_output(self, outcome: Outcome, context: Context, ids_: tuple[int, int, int]) -> None:
        for start, part in self._slices(outcome):
            self._count_rows(part, context)
            if self._binding.segments is not None:
                self._binding.segments.count_rows(outcome, part, start, context)
            self._binding.observers.observe_slice(outcome, part, start, ids_)

    def _count_rows(self, output: Output, context: Context) -> None:
        binding = self._binding
        for label, count in output.class_counts().items():
            binding.counts.add(None if label is None else binding.class_label(label), count)
        record, attributes = binding.instruments.score.record, binding.attributes
        seen: set[int] = set()
        for score in output.measured_scores():
            bucket = bisect_left(semconv.SCORE_BUCKETS, score)
            record(score, attributes, _NO_SPAN if bucket in seen else context)
            seen.add(bucket)

    def _count_call(self, outcome: Outcome, attributes: Attributes, context: Context) -> None:
        if outcome.duration is None:
            self._binding.instruments.untimed.add(1, attributes, context=context)
        else:
            self._binding.instruments.duration.record(outcome.duration, attributes, context=context)

    def _emit(self, data: EventData, context: Context) -> None:
        self._binding.logger.emit(
            LogRecord(
                timestamp=data.time_ns,
                context=context,
                severity_text=data.severity,
                severity_number=_SEVERITY[data.severity],
                body=data.body,
                attributes=data.attributes,
                event_name=data.name,
            )
        )
