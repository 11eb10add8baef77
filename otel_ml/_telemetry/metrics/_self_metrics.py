"""Our own health as observable instruments. They also make sure that every collection of the SDK has data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _guard, _instruments, semconv
from otel_ml._export.ledger import Ledger

Ledgers = Callable[[], Mapping[str, Ledger]]

COUNTERS: Final = frozenset(
    metric.name
    for metric in (
        semconv.EXPORT_PRODUCED,
        semconv.EXPORT_DELIVERED,
        semconv.EXPORT_REJECTED,
        semconv.EXPORT_DROPPED,
        semconv.INTERNAL_ERRORS,
    )
)
"""Those that count from the start of this process."""
OLDEST: Final = 1.0
"""Seconds after which the ledgers are read again in any case."""


class Accounts:
    """Reads the ledgers once for all instruments of a collection, so that their figures agree.

    An instrument that asks again belongs to the next collection.
    """

    def __init__(
        self, ledgers: Ledgers, clock: Callable[[], float] = monotonic, process_id: Callable[[], int] = os.getpid
    ) -> None:
        self._ledgers = ledgers
        self._clock = clock
        self._process_id = process_id
        self._asked: set[str] = set()
        self._read: Mapping[str, Ledger] = {}
        self._read_at = float("-inf")
        self._process = 0

    def read(self, instrument: str) -> Mapping[str, Ledger]:
        """Returns the ledger of every signal, for this instrument."""
        now, process = self._clock(), self._process_id()
        if instrument in self._asked or now - self._read_at > OLDEST or process != self._process:
            self._read, self._read_at, self._process = self._ledgers(), now, process
            self._asked = set()
        self._asked.add(instrument)
        return self._read


def register(meter: Meter, ledgers: Ledgers, ages: Callable[[], Mapping[str, float]]) -> None:
    """Creates `otelml.export.*` for each signal and reason, all starting at zero, and `otelml.internal.errors`.

    Args:
        meter: Of our scope.
        ledgers: Returns the ledger of every signal.
        ages: Returns how long the oldest record of each queue has waited, in seconds.
    """
    accounts = Accounts(ledgers)

    def sums(metric: str, read: Callable[[Ledger], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [
            Observation(read(ledger), {semconv.SIGNAL: name}) for name, ledger in accounts.read(metric).items()
        ]

    for metric, read in (
        (semconv.EXPORT_PRODUCED, lambda ledger: ledger.produced),
        (semconv.EXPORT_DELIVERED, lambda ledger: ledger.delivered),
        (semconv.EXPORT_REJECTED, lambda ledger: ledger.rejected),
        (semconv.EXPORT_IN_FLIGHT, lambda ledger: ledger.in_flight),
    ):
        _instruments.create(meter, metric, sums(metric.name, read))
    dropped = semconv.EXPORT_DROPPED
    _instruments.create(meter, dropped, lambda _: _dropped(accounts.read(dropped.name)))
    _instruments.create(
        meter,
        semconv.EXPORT_QUEUE_AGE,
        lambda _: [Observation(age, {semconv.SIGNAL: name}) for name, age in ages().items()],
    )
    _instruments.create(meter, semconv.INTERNAL_ERRORS, lambda _: _internal_errors())


def _dropped(ledgers: Mapping[str, Ledger]) -> list[Observation]:
    return [
        Observation(ledger.dropped.get(reason, 0), {semconv.SIGNAL: name, semconv.DROP_REASON: reason})
        for name, ledger in ledgers.items()
        for reason in semconv.DROP_REASONS
    ]


def _internal_errors() -> list[Observation]:
    """A zero without a place from the start makes the first error visible as an increase; then one series a place."""
    counts = _guard.counts()
    return [Observation(0, {}), *(Observation(count, {semconv.ERROR_PLACE: place}) for place, count in counts.items())]
