"""What the sampler reports about itself: its cost and interval, failed readings, overruns, last success."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Final

from opentelemetry.metrics import Histogram, Meter

from otel_ml import _guard, _instruments, semconv
from otel_ml.resource_sampler._source import EXPECTED, Gap, Reading, Snapshot, SourceSnapshot, measured

METRICS: Final = (
    semconv.SAMPLER_LAST_SUCCESS,
    semconv.SAMPLER_ERRORS,
    semconv.SAMPLER_OVERRUNS,
    semconv.SAMPLER_INTERVAL,
    semconv.SAMPLER_CPU_TIME,
)
"""The observable ones; `otelml.sampler.tick.duration` is a histogram."""

_SELF: Final = "sampler"
"""Name under which unsound values are counted, whichever source gave them."""
_LOGGING_SOURCES: Final = frozenset({"gpu"})
"""Sources that log changes of their devices themselves."""
_CALM_TICKS: Final = 3
"""Good ticks in a row after which a failure is over, so that an intermittent one is logged once."""
_ONE_BY_ONE: Final = 2
"""The most failures with one cause that are logged one by one."""
_MAX_FAILURES: Final = 256
_MAX_KINDS: Final = 256
_NOTHING: Final[Mapping[str, str | int]] = {}
_LOG: Final = logging.getLogger("otel_ml")


class Failures:
    """Logs one line when a reading starts to fail, and one when it is back."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], int] = {}
        """Good ticks since the failure, by source and what failed."""

    def update(self, part: SourceSnapshot) -> None:
        """Compares one source's gaps with the known failures; without any reading nothing counts as recovered."""
        if part.source in _LOGGING_SOURCES:
            return
        failing = {gap.what: gap for gap in part.gaps if gap.kind not in EXPECTED}
        if not failing and not self._active:
            return
        started: dict[str, list[str]] = {}
        for what, gap in failing.items():
            if self._is_new(part.source, what):
                started.setdefault(f"{gap.kind}: {gap.detail}" if gap.detail else gap.kind, []).append(what)
        for why, group in started.items():
            for what in _together(group):
                _LOG.warning("otel-ml: %s cannot be read (%s): its readings are absent", _named(what, part.source), why)
        for what in _together(self._back(part, failing)):
            _LOG.info("otel-ml: %s is read again", _named(what, part.source))

    def _back(self, part: SourceSnapshot, failing: Mapping[str, Gap]) -> list[str]:
        missing = {gap.what for gap in part.gaps}
        back = []
        for source, what in [key for key in self._active if key[0] == part.source and key[1] not in failing]:
            if what in missing:  # it has become a property of this machine
                del self._active[source, what]
                continue
            self._active[source, what] += bool(part.readings)
            if self._active[source, what] >= _CALM_TICKS:
                del self._active[source, what]
                back.append(what)
        return back

    def reset_after_fork(self) -> None:
        """In a forked child: forgets all failures."""
        self._active.clear()

    def _is_new(self, source: str, what: str) -> bool:
        is_new = (source, what) not in self._active
        if is_new and len(self._active) >= _MAX_FAILURES:
            return False
        self._active[source, what] = 0
        return is_new


def _named(what: str, source: str) -> str:
    return what if what.startswith(source) else f"{what} of the {source}"


def _together(group: list[str]) -> list[str]:
    """Joins many failures with one cause into one line, such as when no descriptors are left."""
    return group if len(group) <= _ONE_BY_ONE else [f"{group[0]} and {len(group) - 1} more"]


class Health:
    """Counts of one sampler, as readings like all others, and the histogram of its ticks."""

    def __init__(self) -> None:
        self._durations: Histogram | None = None
        self._failures = Failures()
        self._attributes: dict[tuple[str, str], Mapping[str, str | int]] = {}
        self._clear()

    def create(self, meter: Meter) -> None:
        """Creates the histogram; may be called again for another meter."""
        self._durations = _instruments.create(meter, semconv.SAMPLER_TICK_DURATION)

    def record(self, snapshot: Snapshot, unsound: int, cost: float, *, left_out: int = 0) -> None:
        """Counts one tick: its failures, its CPU seconds, and the points for which there was no room."""
        now = time.time()
        self._cpu += cost
        for part in snapshot.sources:
            for gap in part.gaps:
                if gap.kind not in EXPECTED:
                    self._count(part.source, gap.kind, 1)
            if part.readings:
                self._last_success[part.source] = now
            self._failures.update(part)
        if unsound:
            self._count(_SELF, "malformed", unsound)
        if left_out:
            self._count(_SELF, "capped", left_out)
            text = f"otel-ml: the sampler has more points of one metric than it may: {left_out} left out"
            _guard.warn_once("resource_sampler.points", text)
        if self._durations is not None:
            self._durations.record(snapshot.duration)

    def overrun(self) -> None:
        """Counts a tick that took longer than the interval."""
        self._overruns += 1

    def readings(self, interval: float) -> Iterator[Reading]:
        """The counts so far, and the current interval."""
        yield measured((semconv.SAMPLER_INTERVAL, interval, _NOTHING))
        yield measured((semconv.SAMPLER_CPU_TIME, self._cpu, _NOTHING))
        yield measured((semconv.SAMPLER_OVERRUNS, self._overruns, _NOTHING))
        for source, at in self._last_success.items():
            yield measured((semconv.SAMPLER_LAST_SUCCESS, at, self._attributes_for(source)))
        for (source, kind), count in self._errors.items():
            yield measured((semconv.SAMPLER_ERRORS, count, self._attributes_for(source, kind)))

    def reset_after_fork(self) -> None:
        """In a forked child: counts start at 0."""
        self._failures.reset_after_fork()
        self._clear()

    def _clear(self) -> None:
        self._last_success: dict[str, float] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._overruns = 0
        self._cpu = 0.0

    def _attributes_for(self, source: str, kind: str = "") -> Mapping[str, str | int]:
        found = self._attributes.get((source, kind))
        if found is None:
            found = {semconv.SAMPLER_SOURCE: source, **({semconv.ERROR_TYPE: kind} if kind else {})}
            if len(self._attributes) < _MAX_KINDS:
                self._attributes[source, kind] = found
        return found

    def _count(self, source: str, kind: str, count: int) -> None:
        self._errors[source, kind] = self._errors.get((source, kind), 0) + count
