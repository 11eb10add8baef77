"""Predictions whose spans the SDK makes: in guest mode, and in own mode for third-party span processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from otel_ml import _guard, semconv
from otel_ml._telemetry.contexts import detach
from otel_ml.prediction._context import SPAN_KEY
from otel_ml.prediction._event import span_attributes
from otel_ml.prediction._failure import describe
from otel_ml.prediction._outcome import Outcome

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_ml._telemetry.ports import Clock
    from otel_ml.prediction.binding._binding import Binding


class SdkSpans:
    """The span part of a prediction over a tracer of the SDK; a mixin for both modes."""

    _binding: Any
    _clock: Clock
    _sdk_span: Span = INVALID_SPAN
    _start_ns: int

    def _span(self) -> Span:
        return self._sdk_span

    def _start_span(self, tracer: Tracer, context: Context) -> None:
        self._sdk_span = tracer.start_span(
            self._binding.span_name,
            context=context,
            kind=SpanKind.INTERNAL,
            attributes=self._binding.attributes,
            start_time=self._start_ns,
        )

    def _span_context(self) -> Context:
        """The context in which the prediction is measured; mostly it is the current one."""
        context = otel_context.get_current()
        return context if context.get(SPAN_KEY) is self._sdk_span else set_span_in_context(self._sdk_span)

    def _end_span(self, outcome: Outcome, end_ns: int | None = None) -> None:
        span = self._sdk_span
        if span.is_recording():
            attributes = span_attributes(self._binding.spec, outcome)
            kept = getattr(span, "attributes", None)
            # Not what the span began with, unless its sampler has dropped that.
            if isinstance(kept, Mapping) and semconv.MODEL_NAME in kept:
                for name in self._binding.attributes:
                    del attributes[name]
            span.set_attributes(attributes)
            failure = outcome.failure
            if failure is not None and not failure.cancelled:
                if self._binding.policy.exceptions_on_spans:
                    span.add_event(semconv.EXCEPTION_EVENT, failure.attributes(), timestamp=outcome.end_ns)
                span.set_status(Status(StatusCode.ERROR, failure.message or None))
        span.end(end_ns)

    def _stage(self, name: str) -> SdkStage:
        return SdkStage(self._binding, self._clock, name)


class SdkStage:
    """One stage under the current prediction: a child span and a duration."""

    def __init__(self, binding: Binding, clock: Clock, name: str) -> None:
        self._binding = binding
        self._clock = clock
        self._name = name
        self._token: Any = None
        self._span: Span | None = None
        self._began_ns = 0

    def __enter__(self) -> Self:
        _guard.call("stage.start", self._start)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _guard.call("stage.finish", self._finish, error)

    def _start(self) -> None:
        attributes = {**self._binding.attributes, semconv.STAGE_NAME: self._name}
        self._began_ns = self._clock.perf_counter_ns()
        self._span = self._binding.tracer.start_span(self._name, kind=SpanKind.INTERNAL, attributes=attributes)
        self._token = otel_context.attach(set_span_in_context(self._span))

    def _finish(self, error: BaseException | None) -> None:
        if self._span is None:
            return
        elapsed = (self._clock.perf_counter_ns() - self._began_ns) / 1e9
        self._binding.count_stage(self._name, elapsed, set_span_in_context(self._span))
        if error is not None:
            failure = describe(error)
            self._span.set_attribute(semconv.ERROR_TYPE, failure.type)
            if not failure.cancelled:
                self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        detach(self._token)
