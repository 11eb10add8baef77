"""The meter provider of own mode: the SDK's, with validated input, and replaced by a new one in a forked child."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider

from otel_ml import _guard
from otel_ml._telemetry.metrics import _instrument_input
from otel_ml._telemetry.metrics._callbacks import Callbacks
from otel_ml._telemetry.metrics._observed_family import ObservedSource

T = TypeVar("T")

Make = Callable[[], SdkMeterProvider]
_WHERE: Final = "meter.record"


class Meters(metrics.MeterProvider):
    """An SDK provider that can be replaced while its instruments are in use.

    The locks and totals of an SDK provider cannot be reset in a forked child, where another thread of the parent may
    have held the locks. So the child makes a new provider and new instruments.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._observe: Callable[[ObservedSource], None] | None = None
        self._max_models = 0
        self._sdk = make()
        self._callbacks = Callbacks()
        self._meters: dict[tuple[Any, ...], RenewableMeter] = {}
        self._former: list[RenewableMeter] = []
        """Meters of ended providers that count here."""
        self._lock = threading.Lock()

    def let_observe(self, observe: Callable[[ObservedSource], None], max_models: int) -> None:
        """Lets rooms that know no engine export, through a meter, what they count without an instrument."""
        self._observe, self._max_models = observe, max_models

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None
    ) -> metrics.Meter:
        key = (name, version, schema_url, repr(attributes))
        with self._lock:
            if key not in self._meters:
                meter = RenewableMeter(self._sdk, self._callbacks, (name, version, schema_url, attributes))
                meter.observe, meter.max_models = self._observe, self._max_models
                self._meters[key] = meter
            return self._meters[key]

    def is_observable_counter(self, name: str) -> bool:
        """Whether callbacks observe this counter, which may have begun before this process."""
        return any(name in meter.observable_counters for meter in self._all_meters())

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collects and exports with every reader."""
        return self._sdk.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Collects and exports a last time and ends the readers."""
        self._sdk.shutdown(timeout_millis)

    def close_callbacks(self) -> None:
        """Ends the threads that run the callbacks of all meters."""
        for meter in self._all_meters():
            meter.close_callbacks()

    def take_over(self, former: Meters, own: metrics.Meter) -> None:
        """Makes the instruments of an ended provider count here, except those of the meter ``own``."""
        meters = [*former._former, *(meter for meter in former._meters.values() if meter is not own)]
        for meter in meters:
            meter.renew(self._sdk)
        self._former += meters

    def reset_after_fork(self) -> None:
        """Starts everything at zero and touches no lock of the parent."""
        self._lock = threading.Lock()
        self._callbacks.reset_after_fork()
        self._sdk = self._make()
        for meter in self._all_meters():
            meter.reset_after_fork(self._sdk)

    def _all_meters(self) -> list[RenewableMeter]:
        return [*self._former, *self._meters.values()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sdk, name)


class RenewableMeter(metrics.Meter):
    """A meter that remembers its instruments, so that it can make them again."""

    observe: Callable[[ObservedSource], None] | None = None
    """Exports at every collection what a room counts that knows no engine."""
    max_models: int
    """Models in use at once that have series of their own in such a source."""

    def __init__(self, sdk: SdkMeterProvider, callbacks: Callbacks, scope: tuple[Any, ...]) -> None:
        name, version, schema_url, _ = self._scope = scope
        super().__init__(name, version, schema_url)
        self._real = sdk.get_meter(*scope)
        self._callbacks = callbacks
        self.observable_counters: set[str] = set()
        """The names of those that were created."""
        self._made: dict[tuple[str, str, str, str], Any] = {}
        self._lock = threading.Lock()

    def renew(self, sdk: SdkMeterProvider) -> None:
        """Makes every instrument again under another provider."""
        self._lock = threading.Lock()
        self._real = sdk.get_meter(*self._scope)
        for instrument in self._made.values():
            instrument.renew(self._real)

    def reset_after_fork(self, sdk: SdkMeterProvider) -> None:
        """Makes every instrument again in a forked child. A meter of an ended provider has callbacks of its own."""
        self._callbacks.reset_after_fork()
        self.renew(sdk)

    def close_callbacks(self) -> None:
        """Ends the thread that runs callbacks."""
        self._callbacks.close()

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        return self._create(_Counter, "create_counter", (name, unit, description))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        return self._create(_UpDownCounter, "create_up_down_counter", (name, unit, description))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> metrics._Gauge:
        return self._create(_Gauge, "create_gauge", (name, unit, description))

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        advice = {"explicit_bucket_boundaries_advisory": explicit_bucket_boundaries_advisory}
        return self._create(_Histogram, "create_histogram", (name, unit, description), advice)

    def create_observable_counter(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        self.observable_counters.add(name)
        guarded = {"callbacks": self._callbacks.guarded(name, callbacks)}
        return self._create(_ObservableCounter, "create_observable_counter", (name, unit, description), guarded)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        kind, guarded = _ObservableUpDownCounter, {"callbacks": self._callbacks.guarded(name, callbacks)}
        return self._create(kind, "create_observable_up_down_counter", (name, unit, description), guarded)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[Any] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        guarded = {"callbacks": self._callbacks.guarded(name, callbacks)}
        return self._create(_ObservableGauge, "create_observable_gauge", (name, unit, description), guarded)

    def _create(
        self, kind: Callable[..., T], how: str, named: tuple[str, str, str], more: dict[str, Any] | None = None
    ) -> T:
        key = (how, *named)
        with self._lock:
            if key not in self._made:
                self._made[key] = kind(self._real, how, named, more or {})
            made: T = self._made[key]
            return made


class _Instrument:
    """A proxy for an SDK instrument, with the name, unit and description that were given."""

    def __init__(self, meter: metrics.Meter, how: str, named: tuple[str, str, str], more: dict[str, Any]) -> None:
        self._how = how
        self.name, self.unit, self.description = named
        self._more = more
        self.renew(meter)

    def renew(self, meter: metrics.Meter) -> None:
        """Forwards to an instrument of this meter from now on."""
        make = getattr(meter, self._how)
        self._real: Any = make(name=self.name, unit=self.unit, description=self.description, **self._more)

    def _forward(self, method: Callable[..., None], value: Any, attributes: Any, context: Context | None) -> None:
        number = _instrument_input.finite_number(value)
        if number is None:
            _instrument_input.count_refused(self.name)
        else:
            method(number, _instrument_input.clean_attributes(attributes), context)


class _Adding(_Instrument):
    def add(self, amount: float, attributes: Any = None, context: Context | None = None) -> None:
        _guard.call(_WHERE, self._forward, self._real.add, amount, attributes, context)


class _Counter(_Adding, metrics.Counter):
    pass


class _UpDownCounter(_Adding, metrics.UpDownCounter):
    pass


class _Gauge(_Instrument, metrics._Gauge):  # noqa: SLF001 - the API's own name for it
    def set(self, amount: float, attributes: Any = None, context: Context | None = None) -> None:
        _guard.call(_WHERE, self._forward, self._real.set, amount, attributes, context)


class _Histogram(_Instrument, metrics.Histogram):
    def record(self, amount: float, attributes: Any = None, context: Context | None = None) -> None:
        _guard.call(_WHERE, self._forward, self._real.record, amount, attributes, context)


class _ObservableCounter(_Instrument, metrics.ObservableCounter):
    pass


class _ObservableUpDownCounter(_Instrument, metrics.ObservableUpDownCounter):
    pass


class _ObservableGauge(_Instrument, metrics.ObservableGauge):
    pass
