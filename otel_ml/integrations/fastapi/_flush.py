"""Flushes telemetry at the end of an ASGI lifespan."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from opentelemetry import _logs, metrics, trace
from starlette.concurrency import run_in_threadpool

from otel_ml import _guard, _process
from otel_ml._telemetry import ports

FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the end of an ASGI lifespan may wait for telemetry."""


def flush_in_force() -> None:
    """Flushes the engine in own mode, else every global provider that can be flushed."""
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


async def flush_in_time(flush: Callable[[], object], timeout: float = FLUSH_TIMEOUT) -> None:
    """Runs a flush on its own thread and stops waiting for it after ``timeout`` seconds.

    The thread is a daemon: an exporter that ignores its deadline must not keep the process from ending.
    """
    thread = _process.spawn("otel-ml-flush", _guard.call, "fastapi.flush", flush)
    if thread is not None:
        await run_in_threadpool(thread.join, timeout)
    if thread is None or thread.is_alive():
        _guard.warn_once("fastapi.flush", "otel-ml: telemetry was not flushed in time at the end of the ASGI lifespan")
