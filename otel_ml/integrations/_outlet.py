"""Where HTTP telemetry goes: the tracer and the instruments of the mode in force, and its flush."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from time import monotonic
from typing import Any, Final

import anyio.to_thread
from opentelemetry import _logs, metrics, trace

from otel_ml import _guard, semconv
from otel_ml._telemetry import ports

FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the end of an ASGI lifespan may wait for telemetry."""


class Outlet:
    """Tracer and instruments, looked up again when `configure` or `shutdown` changes the mode."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._providers = (tracer_provider, meter_provider)
        self._state: ports.State | None = None

    def refresh(self) -> bool:
        """Binds to the state in force; True when it is another one than before."""
        state = ports.state()
        if state is self._state:
            return False
        tracer_provider, meter_provider = self._providers
        engine = state.engine
        if engine is not None and tracer_provider is None:
            self.tracer = engine.tracer(semconv.SCOPE)
        else:
            self.tracer = trace.get_tracer(semconv.SCOPE, None, tracer_provider, semconv.SCHEMA_URL)
        if engine is not None and meter_provider is None:
            meter = engine.meter(semconv.SCOPE)
        else:
            meter = metrics.get_meter(semconv.SCOPE, "", meter_provider, semconv.SCHEMA_URL)
        duration, active = semconv.HTTP_SERVER_REQUEST_DURATION, semconv.HTTP_SERVER_ACTIVE_REQUESTS
        self.duration = meter.create_histogram(
            duration.name,
            duration.unit,
            duration.description,
            explicit_bucket_boundaries_advisory=semconv.HTTP_BUCKETS,
        )
        self.active = meter.create_up_down_counter(active.name, active.unit, active.description)
        self._state = state
        return True

    @property
    def mode(self) -> ports.Mode:
        """The mode that `refresh` found last."""
        return "guest" if self._state is None else self._state.mode


def flush_in_force() -> None:
    """Flushes what is in force: the engine in own mode, else every global provider that can be flushed."""
    engine = ports.state().engine
    if engine is not None:
        engine.flush(monotonic() + FLUSH_TIMEOUT)
        return
    providers: tuple[Any, ...] = (
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
        _logs.get_logger_provider(),
    )
    for provider in providers:
        force_flush = getattr(provider, "force_flush", None)
        if callable(force_flush):
            _guard.call("fastapi.flush", force_flush, int(FLUSH_TIMEOUT * 1000))


async def flush_in_time(flush: Callable[[], object], timeout: float = FLUSH_TIMEOUT) -> None:  # noqa: ASYNC109
    """Runs a flush on a thread of its own and stops waiting for it after ``timeout`` seconds.

    The thread is a daemon: an exporter that ignores its deadline must not keep the process from ending.
    """
    thread = Thread(target=_guard.call, args=("fastapi.flush", flush), name="otel-ml-flush", daemon=True)
    thread.start()
    await anyio.to_thread.run_sync(thread.join, timeout)
    if thread.is_alive():
        _guard.warn_once("fastapi.flush", "otel-ml: telemetry was not flushed in time at the end of the ASGI lifespan")
