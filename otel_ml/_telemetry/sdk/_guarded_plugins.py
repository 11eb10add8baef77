"""Foreign span processors, log processors and samplers, whose exceptions must not reach the service."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord, SynchronousMultiLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult

from otel_ml import _guard
from otel_ml._telemetry.sdk._sampler_wrapper import Question, SamplerWrapper


def _call(plugin: Any, where: str, method: Any, *arguments: Any, **keywords: Any) -> Any:
    """Calls a plug-in; logs its first exception, counts every one and raises none."""
    result = _guard.call(where, lambda: (method(*arguments, **keywords),))
    if result is None:
        name = type(plugin).__name__
        _guard.warn_once(f"plugin {name}", f"otel-ml: {name} of this service raises; the service is unaffected")
        return None
    return result[0]


class GuardedSpanProcessor(SpanProcessor):
    """A foreign span processor."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        _call(self._processor, "plugin.span", self._processor.on_start, span, parent_context=parent_context)

    def _on_ending(self, span: Span) -> None:
        _call(self._processor, "plugin.span", self._processor._on_ending, span)  # noqa: SLF001 - the SDK's own hook

    def on_end(self, span: ReadableSpan) -> None:
        _call(self._processor, "plugin.span", self._processor.on_end, span)

    def shutdown(self) -> None:
        _call(self._processor, "plugin.span", self._processor.shutdown)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return _call(self._processor, "plugin.span", self._processor.force_flush, timeout_millis) is not False


class LogProcessors(SynchronousMultiLogRecordProcessor):
    """The provider's list of log processors; it guards those that are not ours."""

    has_foreign = False
    """Whether one of them is not ours and has to be flushed and shut down."""

    def add_own(self, log_record_processor: LogRecordProcessor) -> None:
        """Adds one of our own processors."""
        super().add_log_record_processor(log_record_processor)

    def hand_over(self, successor: LogProcessors) -> None:
        """Forwards every record to the processors of another provider from now on."""
        self._log_record_processors = (successor,)

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        self.has_foreign = True
        super().add_log_record_processor(GuardedLogProcessor(log_record_processor))


class GuardedLogProcessor(LogRecordProcessor):
    """A foreign log processor."""

    def __init__(self, processor: LogRecordProcessor) -> None:
        self._processor = processor

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        _call(self._processor, "plugin.log", self._processor.on_emit, log_record)

    def enabled(self, **keywords: Any) -> bool:
        asked = getattr(self._processor, "enabled", None)  # newer than the oldest SDK that is supported
        return asked is None or _call(self._processor, "plugin.log", asked, **keywords) is not False

    def shutdown(self) -> None:
        _call(self._processor, "plugin.log", self._processor.shutdown)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return _call(self._processor, "plugin.log", self._processor.force_flush, timeout_millis) is not False


class GuardedSampler(SamplerWrapper):
    """A foreign sampler; a span is not sampled when it raises."""

    def _decide(self, question: Question) -> SamplingResult:
        # Without the trace state, as the SDK itself calls a sampler.
        result = _call(self._sampler, "plugin.sampler", self._sampler.should_sample, *question[:-1])
        return (
            result if isinstance(result, SamplingResult) else SamplingResult(Decision.DROP, None, question.trace_state)
        )

    def get_description(self) -> str:
        return f"Guarded{{{self._sampler.get_description()}}}"
