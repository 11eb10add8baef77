"""A budget for callers who force sampling by the flag of their `traceparent`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


class RemoteBudget(Sampler):
    """Asks another sampler, but lets at most so many traces a second in that a remote caller has marked as sampled.

    By rate and not by trace id: a caller can choose the id, too. Spans whose parent is local follow their parent.

    Args:
        sampler: Decides in every other case.
        per_second: Traces a second; up to one second's worth may come at once.
        now: A monotonic clock in seconds.
    """

    def __init__(self, sampler: Sampler, per_second: float, *, now: Callable[[], float] = monotonic) -> None:
        self._sampler = sampler
        self._per_second = per_second
        self._now = now
        self._tokens = max(1.0, per_second) if per_second > 0 else 0.0
        self._last = now()
        self._lock = threading.Lock()

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
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid and parent.is_remote and parent.trace_flags.sampled and not self._take():
            return SamplingResult(Decision.DROP, None, parent.trace_state)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"RemoteBudget{{{self._per_second:g}/s,{self._sampler.get_description()}}}"

    def reset_after_fork(self) -> None:
        """Another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _take(self) -> bool:
        with self._lock:
            now = self._now()
            most = max(1.0, self._per_second) if self._per_second > 0 else 0.0
            self._tokens = min(most, self._tokens + (now - self._last) * self._per_second)
            self._last = now
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True
