"""Where HTTP telemetry goes: the tracer and the instruments of the mode in force, and its flush."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol

import anyio.to_thread
from opentelemetry import _logs, metrics, trace
from opentelemetry.context import Context

from otel_ml import _guard, _instruments, _process, semconv
from otel_ml._telemetry import ports
from otel_ml._telemetry.histograms import Exemplar
from otel_ml._telemetry.requests.cells import ActiveKey, RequestCellSet, RequestKey, active_attributes

FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the end of an ASGI lifespan may wait for telemetry."""


class Measure(Protocol):
    """Where requests are measured."""

    def begin(self, key: ActiveKey, context: Context) -> Callable[[], object]:
        """Counts a request in flight; gives what counts its end."""

    def record(self, key: RequestKey, seconds: float, context: Context) -> None:
        """Records the duration of one that has ended."""


class Instruments:
    """Measures by instruments of the OTel API."""

    def __init__(self, meter: metrics.Meter) -> None:
        self._duration: metrics.Histogram = _instruments.create(meter, semconv.HTTP_SERVER_REQUEST_DURATION)
        self._active: metrics.UpDownCounter = _instruments.create(meter, semconv.HTTP_SERVER_ACTIVE_REQUESTS)

    def begin(self, key: ActiveKey, context: Context) -> Callable[[], object]:
        attributes = active_attributes(*key)
        self._active.add(1, attributes, context)
        return lambda: self._active.add(-1, attributes, context)

    def record(self, key: RequestKey, seconds: float, context: Context) -> None:
        self._duration.record(seconds, key.attributes(), context)


class Cells:
    """Measures in the engine's cells."""

    def __init__(self, engine: ports.Engine, requests: RequestCellSet) -> None:
        self._engine = engine
        self._requests = requests

    def begin(self, key: ActiveKey, context: Context) -> Callable[[], object]:  # noqa: ARG002
        return self._requests.mine().begin(key).end

    def record(self, key: RequestKey, seconds: float, context: Context) -> None:
        cell = self._requests.cell(self._requests.mine(), key)
        bucket = cell.record(seconds)
        span = trace.get_current_span(context)
        span_context = span.get_span_context()
        if self._engine.exemplars and span_context.trace_flags.sampled:
            now, trace_id, span_id = self._engine.clock.time_ns(), span_context.trace_id, span_context.span_id
            if cell.offer(bucket, Exemplar(seconds, now, trace_id, span_id)):
                span.set_attribute(semconv.EXEMPLAR, True)


class Light:
    """What the everyday request of own mode needs, looked up once."""

    def __init__(self, engine: ports.Engine, requests: RequestCellSet) -> None:
        self.engine = engine
        self.requests = requests
        self.rule = engine.sampling_rule
        self.root_bound = 0 if self.rule is None else self.rule.bound
        self.exemplars = engine.exemplars
        self.trace_id = engine.ids.trace_id
        self.span_id = engine.ids.span_id
        self.now = engine.clock.perf_counter_ns
        self.time_ns = engine.clock.time_ns
        self.offer = engine.offer_span


class Outlet:
    """Tracer and measures, looked up again when `configure` or `shutdown` changes the mode.

    Attributes:
        state: The state that `refresh` found last.
        light: None where spans and metrics take the way of the OTel API.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._providers = (tracer_provider, meter_provider)
        self.state: ports.State | None = None
        self.light: Light | None = None

    def refresh(self) -> bool:
        """Binds to the state in force; True when it is another one than before."""
        state = ports.state()
        if state is self.state:
            return False
        tracer_provider, meter_provider = self._providers
        engine = state.engine
        if engine is not None and tracer_provider is None:
            self.tracer = engine.tracer(semconv.SCOPE)
        else:
            self.tracer = trace.get_tracer(semconv.SCOPE, None, tracer_provider, semconv.SCHEMA_URL)
        requests = None if engine is None or meter_provider is not None else engine.requests
        self.light = None
        if engine is not None and requests is not None:
            self.measure: Measure = Cells(engine, requests)
            self.light = Light(engine, requests) if tracer_provider is None else None
        elif engine is not None and meter_provider is None:
            self.measure = Instruments(engine.meter(semconv.SCOPE))
        else:
            self.measure = Instruments(metrics.get_meter(semconv.SCOPE, "", meter_provider, semconv.SCHEMA_URL))
        self.state = state
        return True

    @property
    def mode(self) -> ports.Mode:
        """The mode that `refresh` found last."""
        return "guest" if self.state is None else self.state.mode


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
    thread = _process.spawn("otel-ml-flush", _guard.call, "fastapi.flush", flush)
    if thread is not None:
        await anyio.to_thread.run_sync(thread.join, timeout)
    if thread is None or thread.is_alive():
        _guard.warn_once("fastapi.flush", "otel-ml: telemetry was not flushed in time at the end of the ASGI lifespan")
