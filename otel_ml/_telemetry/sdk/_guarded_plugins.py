"""Span processors, log processors and samplers of others: what they raise is theirs to lose, not the service's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord, SynchronousMultiLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from otel_ml import _guard


def _call(plugin: Any, where: str, method: Any, *arguments: Any, **keywords: Any) -> Any:
    """Calls a plug-in; its first failure is named, every one is counted, none gets out."""
    result = _guard.call(where, lambda: (method(*arguments, **keywords),))
    if result is None:
        name = type(plugin).__name__
        _guard.warn_once(f"plugin {name}", f"otel-ml: {name} of this service raises; what it raises is kept from it")
        return None
    return result[0]


class GuardedSpanProcessor(SpanProcessor):
    """Another's span processor."""

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


class GuardedLogProcessors(SynchronousMultiLogRecordProcessor):
    """The provider's list of log processors."""

    holds_others = False
    """Whether one of them is not ours, so that it has to be flushed and shut down."""

    def add_own(self, log_record_processor: LogRecordProcessor) -> None:
        """Adds a processor of ours."""
        super().add_log_record_processor(log_record_processor)

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        self.holds_others = True
        super().add_log_record_processor(GuardedLogProcessor(log_record_processor))


class GuardedLogProcessor(LogRecordProcessor):
    """Any log processor."""

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


class GuardedSampler(Sampler):
    """Another's sampler; where it raises, nothing is sampled."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        ask = self._sampler.should_sample
        said = _call(self._sampler, "plugin.sampler", ask, parent_context, trace_id, name, kind, attributes, links)
        return said if isinstance(said, SamplingResult) else SamplingResult(Decision.DROP, None, trace_state)

    def get_description(self) -> str:
        return f"Guarded{{{self._sampler.get_description()}}}"
