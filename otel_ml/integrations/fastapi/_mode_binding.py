"""Binds the layer to the mode in force: its tracer, its request metrics and the engine of the fast path."""

from __future__ import annotations

from opentelemetry import metrics, trace

from otel_ml import semconv
from otel_ml._telemetry import ports
from otel_ml._telemetry.requests.cells import RequestCellSet
from otel_ml.integrations.fastapi._request_metrics import CellMetrics, InstrumentMetrics, RequestMetrics


class FastPath:
    """The parts of the engine that the fast path of a request uses, looked up once."""

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


class ModeBinding:
    """Tracer and request metrics of the mode in force; follows `configure` and `shutdown`.

    Attributes:
        state: The state that `refresh` found last.
        fast_path: None if spans or metrics use the OTel API.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._providers = (tracer_provider, meter_provider)
        self.state: ports.State | None = None
        self.fast_path: FastPath | None = None

    def __getstate__(self) -> dict[str, object]:
        """An application that is sent to another process binds there, to what is in force."""
        return {"_providers": self._providers, "state": None, "fast_path": None}

    def refresh(self) -> bool:
        """Binds to the state in force; True if it has changed."""
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
        self.fast_path = None
        if engine is not None and requests is not None:
            self.metrics: RequestMetrics = CellMetrics(engine, requests)
            self.fast_path = FastPath(engine, requests) if tracer_provider is None else None
        elif engine is not None and meter_provider is None:
            self.metrics = InstrumentMetrics(engine.meter(semconv.SCOPE))
        else:
            self.metrics = InstrumentMetrics(metrics.get_meter(semconv.SCOPE, "", meter_provider, semconv.SCHEMA_URL))
        self.state = state
        return True

    @property
    def mode(self) -> ports.Mode:
        """The mode that `refresh` found last."""
        return "guest" if self.state is None else self.state.mode
