"""What the sampler says about itself: duration of ticks, failed readings, overruns, last success."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.metrics import Counter, Histogram, Meter, Observation

from otel_ml import semconv
from otel_ml.resource_sampler._source import EXPECTED, Snapshot

_SELF = "sampler"
"""Name under which unsound values are counted, whichever source gave them."""


class Health:
    """The synchronous instruments of one sampler; silent until `create`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._errors: Counter | None = None
        self._overruns: Counter | None = None
        self._durations: Histogram | None = None
        self._last_success: dict[str, float] = {}

    def create(self, meter: Meter) -> None:
        """Creates the instruments; again on another meter is fine."""
        errors, overruns, durations = semconv.SAMPLER_ERRORS, semconv.SAMPLER_OVERRUNS, semconv.SAMPLER_TICK_DURATION
        self._errors = meter.create_counter(errors.name, errors.unit, errors.description)
        self._overruns = meter.create_counter(overruns.name, overruns.unit, overruns.description)
        self._durations = meter.create_histogram(durations.name, durations.unit, durations.description)

    def record(self, snapshot: Snapshot, unsound: int) -> None:
        """Counts one tick."""
        now = self._clock()
        for part in snapshot.sources:
            for gap in part.gaps:
                if gap.kind not in EXPECTED:
                    self._count(part.source, gap.kind, 1)
            if part.readings:
                self._last_success[part.source] = now
        if unsound:
            self._count(_SELF, "malformed", unsound)
        if self._durations is not None:
            self._durations.record(snapshot.duration)

    def overrun(self) -> None:
        """Counts a tick that took longer than the interval."""
        if self._overruns is not None:
            self._overruns.add(1)

    def successes(self) -> Sequence[Observation]:
        """Points of `otelml.sampler.last_success`."""
        return [Observation(at, {semconv.SAMPLER_SOURCE: source}) for source, at in self._last_success.items()]

    def forget(self) -> None:
        """For a forked child, which has not read anything yet."""
        self._last_success = {}

    def _count(self, source: str, kind: str, count: int) -> None:
        if self._errors is not None:
            self._errors.add(count, {semconv.SAMPLER_SOURCE: source, semconv.ERROR_TYPE: kind})
