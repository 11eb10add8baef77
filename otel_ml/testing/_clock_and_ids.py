"""A fixed clock and counting ids."""

from __future__ import annotations


class FixedClock:
    """A clock that moves only by `advance`."""

    def __init__(self, time_ns: int = 1_700_000_000_000_000_000) -> None:
        self._time_ns = time_ns
        self._perf_ns = 0

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._time_ns

    def perf_counter_ns(self) -> int:
        """Monotonic nanoseconds."""
        return self._perf_ns

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward."""
        step = round(seconds * 1e9)
        self._time_ns += step
        self._perf_ns += step


class CountingIds:
    """Trace, span and prediction ids 1, 2, 3, ..., each kind by its own count."""

    def __init__(self) -> None:
        self._traces = 0
        self._spans = 0
        self._predictions = 0

    def trace_id(self) -> int:
        """128 bits, never 0."""
        self._traces += 1
        return self._traces

    def span_id(self) -> int:
        """64 bits, never 0."""
        self._spans += 1
        return self._spans

    def prediction_number(self) -> int:
        """128 bits."""
        self._predictions += 1
        return self._predictions
