"""A rate limit for remote callers who force sampling by the flag of their `traceparent`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from otel_ml._telemetry.sdk._sampler_wrapper import Question, SamplerWrapper


class RemoteBudget(SamplerWrapper):
    """Asks another sampler, but admits only so many traces a second that a remote caller has marked as sampled.

    The limit is a rate and not a range of trace ids, because a caller can choose the id, too. Spans with a local parent
    follow their parent.

    Args:
        sampler: Decides in every other case.
        per_second: Traces a second; those of one second may come at once.
        now: A monotonic clock in seconds.
    """

    def __init__(self, sampler: Sampler, per_second: float, *, now: Callable[[], float] = monotonic) -> None:
        super().__init__(sampler)
        self._per_second = per_second
        self._now = now
        self._tokens = max(1.0, per_second) if per_second > 0 else 0.0
        self._last = now()
        self._lock = threading.Lock()

    def get_description(self) -> str:
        return f"RemoteBudget{{{self._per_second:g}/s,{self._sampler.get_description()}}}"

    def reset_after_fork(self) -> None:
        """Replaces the lock, which another thread of the parent may have held."""
        self._lock = threading.Lock()

    def _decide(self, question: Question) -> SamplingResult:
        parent = trace.get_current_span(question.parent_context).get_span_context()
        if parent.is_valid and parent.is_remote and parent.trace_flags.sampled and not self._take():
            return SamplingResult(Decision.DROP, None, parent.trace_state)
        return self._sampler.should_sample(*question)

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
