"""This software's own health as observable instruments; they also keep one stream of the SDK alive at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _guard, semconv
from otel_ml._telemetry.ledger import Ledger

Ledgers = Callable[[], Mapping[str, Ledger]]


def register(meter: Meter, ledgers: Ledgers) -> None:
    """Creates `otelml.export.*` for each signal and reason, all starting at zero, and `otelml.internal.errors`."""

    def sums(read: Callable[[Ledger], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(read(ledger), {semconv.SIGNAL: name}) for name, ledger in ledgers().items()]

    for metric, read in (
        (semconv.EXPORT_PRODUCED, lambda ledger: ledger.produced),
        (semconv.EXPORT_DELIVERED, lambda ledger: ledger.delivered),
        (semconv.EXPORT_REJECTED, lambda ledger: ledger.rejected),
    ):
        meter.create_observable_counter(metric.name, [sums(read)], metric.unit, metric.description)
    in_flight = semconv.EXPORT_IN_FLIGHT
    meter.create_observable_up_down_counter(
        in_flight.name, [sums(lambda ledger: ledger.in_flight)], in_flight.unit, in_flight.description
    )
    dropped = semconv.EXPORT_DROPPED
    meter.create_observable_counter(dropped.name, [lambda _: _dropped(ledgers())], dropped.unit, dropped.description)
    errors = semconv.INTERNAL_ERRORS
    meter.create_observable_counter(errors.name, [lambda _: _internal_errors()], errors.unit, errors.description)


def _dropped(ledgers: Mapping[str, Ledger]) -> list[Observation]:
    return [
        Observation(ledger.dropped.get(reason, 0), {semconv.SIGNAL: name, semconv.DROP_REASON: reason})
        for name, ledger in ledgers.items()
        for reason in semconv.DROP_REASONS
    ]


def _internal_errors() -> list[Observation]:
    """A zero without a place from the start, so that the first error shows as an increase; then one series a place."""
    counts = _guard.counts()
    return [Observation(0, {}), *(Observation(count, {semconv.ERROR_PLACE: place}) for place, count in counts.items())]
