"""Telemetry in memory, in own or guest mode."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_ml import _guard
from otel_ml._telemetry.provider_globals import swap_globals
from otel_ml.testing._memory_transport import MemoryTransport

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from otel_ml._export.ledger import Ledger
    from otel_ml._telemetry.engine import OwnEngine
    from otel_ml.config import Signal, SignalConfig
    from otel_ml.testing._clock_and_ids import CountingIds, FixedClock
    from otel_ml.testing._sources import TelemetrySource

_TIMEOUT: Final = 10.0
"""Seconds for a flush or a shutdown."""
_DISABLED: Final = "OTEL_SDK_DISABLED"
_INSTANCE: Final = "test-instance"


class InMemoryTelemetry:
    """Telemetry that stays in memory. It is active inside its ``with`` block, which restores the former state.

    Args:
        mode: ``own``: our engine, read back from the OTLP bytes that it would have sent. ``guest``: SDK providers with
            in-memory exporters, as if the service had set them up. Both return the same dicts.
        clock: Clock of the predictions (own mode).
        ids: Source of ids.
        settings: Keywords of `otel_ml.Config`.
    """

    def __init__(
        self,
        mode: Literal["own", "guest"] = "own",
        *,
        clock: FixedClock | None = None,
        ids: CountingIds | None = None,
        **settings: Any,
    ) -> None:
        from otel_ml.config import Config

        self.mode = mode
        self.clock = clock
        self.ids = ids
        self.internal_errors_expected = False
        """Set it in a test that provokes internal errors; otherwise the fixtures fail on any."""
        exporters = dict.fromkeys(("traces_exporter", "metrics_exporter", "logs_exporter"), "otlp")
        defaults = {"service_name": "test", "instance_id": _INSTANCE, "protocol": "http/protobuf", **exporters}
        self.config = Config(**{**defaults, **settings})
        self.transports: dict[str, MemoryTransport] = {}
        self._engine: OwnEngine | None = None
        self._source: TelemetrySource | None = None
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        from otel_ml._telemetry import configure, withholding

        _guard.reset()
        withholding.withhold_exceptions(withheld=False)
        former, former_state = configure.current(), configure.in_force()
        self._undo.append(lambda: configure.adopt(former, former_state))
        disabled = os.environ.pop(_DISABLED, None)  # the SDK's providers read it when they are made
        try:
            if self.mode == "own":
                self._enter_own()
            else:
                self._enter_guest()
        finally:
            if disabled is not None:
                os.environ[_DISABLED] = disabled
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.shutdown(monotonic() + _TIMEOUT)
        while self._undo:
            self._undo.pop()()

    def spans(self) -> list[dict[str, Any]]:
        """Returns all spans that have ended, by start time, parents first."""
        return self._read().spans()

    def logs(self) -> list[dict[str, Any]]:
        """Returns all log records and events, by time."""
        return self._read().logs()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Returns the log records with this event name."""
        return [record for record in self.logs() if record["event_name"] == name]

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """Collects once; returns the points of each metric by its name. Exemplars: those since the last one."""
        return self._collect().metrics()

    def instruments(self) -> dict[str, dict[str, str]]:
        """Collects once; returns kind, unit and description of each metric by its name."""
        return self._collect().instruments()

    def resource(self) -> dict[str, Any]:
        """Returns the resource of spans, logs and metrics."""
        return self._collect().resource()

    def ledger(self) -> dict[str, Ledger]:
        """Returns the ledger of each signal; empty in guest mode."""
        return {} if self._engine is None else self._engine.ledger()

    def flush(self) -> bool:
        """Exports everything that is queued; True if all of it was accepted."""
        return True if self._engine is None else self._engine.flush(monotonic() + _TIMEOUT)

    def _read(self) -> TelemetrySource:
        if self._source is None:
            raise RuntimeError("InMemoryTelemetry is active only inside its with block")
        self._source.flush_records()
        return self._source

    def _collect(self) -> TelemetrySource:
        source = self._read()
        source.collect()
        return source

    def _enter_own(self) -> None:
        from otel_ml._telemetry import configure
        from otel_ml._telemetry.engine import OwnEngine
        from otel_ml.testing._sources import OwnSource

        keywords: dict[str, Any] = {}
        if self.clock is not None:
            keywords["clock"] = self.clock
        if self.ids is not None:
            keywords["ids"] = self.ids
        engine = OwnEngine(self.config, make_transport=self._transport, periodic=False, **keywords)
        self._engine = engine
        self._undo.append(swap_globals(engine.tracer_provider, engine.meter_provider, engine.logger_provider))
        configure.adopt(configure.Telemetry("own", self.config, engine), engine)
        self._source = OwnSource(engine, self.transports, _TIMEOUT)

    def _enter_guest(self) -> None:
        from otel_ml._telemetry import configure
        from otel_ml.testing._sources import GuestSource

        source = GuestSource(self.ids, _INSTANCE)
        self._undo.append(swap_globals(source.tracer_provider, source.meter_provider, source.logger_provider))
        configure.adopt(configure.Telemetry("guest", self.config, None, "test"), None)
        self._source = source

    def _transport(self, signal: Signal, _settings: SignalConfig) -> MemoryTransport:
        return self.transports.setdefault(signal, MemoryTransport(signal))
