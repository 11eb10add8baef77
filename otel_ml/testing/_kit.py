"""The parts of the test kit: fixed clock, counting ids, telemetry in memory and the pytest fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_ml import _guard

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from otel_ml._export.answers import Answer
    from otel_ml._export.ledger import Ledger
    from otel_ml._telemetry.engine import OwnEngine
    from otel_ml.config import Signal, SignalConfig

_TIMEOUT: Final = 10.0
_INSTANCE: Final = "test-instance"


class FixedClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, time_ns: int = 1_700_000_000_000_000_000) -> None:
        self._time_ns = time_ns
        self._perf_ns = 0

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._time_ns

    def perf_counter_ns(self) -> int:
        """Monotonic nanoseconds."""
        return self._perf_ns

    def advance(self, seconds: float) -> None:
        """Moves both clocks on."""
        step = round(seconds * 1e9)
        self._time_ns += step
        self._perf_ns += step


class CountingIds:
    """Trace, span and prediction ids 1, 2, 3, ..., each kind by its own count."""

    def __init__(self) -> None:
        self._traces = 0
        self._spans = 0
        self._predictions = 0

    def trace_id(self) -> int:
        """128 bits, never 0."""
        self._traces += 1
        return self._traces

    def span_id(self) -> int:
        """64 bits, never 0."""
        self._spans += 1
        return self._spans

    def prediction_number(self) -> int:
        """128 bits."""
        self._predictions += 1
        return self._predictions


class MemoryTransport:
    """Keeps what would have been sent; answers what `answers` holds next, else success."""

    def __init__(self, signal: Signal) -> None:
        self.endpoint = f"memory://test/v1/{signal}"
        self.requests: list[bytes] = []
        self.answers: list[Answer] = []

    def post(self, body: bytes, timeout: float) -> Answer:  # noqa: ARG002
        """Takes one request."""
        from otel_ml._export.answers import Answer

        answer = self.answers.pop(0) if self.answers else Answer("accepted")
        if answer.kind == "accepted":
            self.requests.append(body)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""


class InMemoryTelemetry:
    """Telemetry that stays in memory, in force inside its ``with`` block; the former state comes back after it.

    Args:
        mode: ``own``: our engine, read back from the OTLP bytes that would have been sent. ``guest``: stock SDK
            providers with stock in-memory exporters, as if the service had set them up. Both give the same dicts.
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
        """Set by a test that provokes internal errors; otherwise the fixtures fail on any."""
        exporters = dict.fromkeys(("traces_exporter", "metrics_exporter", "logs_exporter"), "otlp")
        defaults = {"service_name": "test", "instance_id": _INSTANCE, "protocol": "http/protobuf", **exporters}
        self.config = Config(**{**defaults, **settings})
        self.transports: dict[str, MemoryTransport] = {}
        self._engine: OwnEngine | None = None
        self._source: _Source | None = None
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        from otel_ml._telemetry import configure, withholding

        _guard.reset()
        withholding.withhold_exceptions(withheld=False)
        former, former_state = configure.current(), configure.in_force()
        self._undo.append(lambda: configure.adopt(former, former_state))
        if self.mode == "own":
            self._enter_own()
        else:
            self._enter_guest()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.shutdown(monotonic() + _TIMEOUT)
        while self._undo:
            self._undo.pop()()

    def spans(self) -> list[dict[str, Any]]:
        """All spans ended so far, by start time, parents first."""
        return self._read().spans()

    def logs(self) -> list[dict[str, Any]]:
        """All log records and events so far, by time."""
        return self._read().logs()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log records with this event name."""
        return [record for record in self.logs() if record["event_name"] == name]

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        """Collects once: the points of every metric by its name. Exemplars are those since the last collection."""
        return self._collect().metrics()

    def instruments(self) -> dict[str, dict[str, str]]:
        """Collects once: kind, unit and description of every metric by its name."""
        return self._collect().instruments()

    def resource(self) -> dict[str, Any]:
        """The resource under which spans, logs and metrics are sent."""
        return self._collect().resource()

    def ledger(self) -> dict[str, Ledger]:
        """The account of each signal; empty in guest mode."""
        return {} if self._engine is None else self._engine.ledger()

    def flush(self) -> bool:
        """Brings out everything; True when all was accepted."""
        return True if self._engine is None else self._engine.flush(monotonic() + _TIMEOUT)

    def _read(self) -> _Source:
        if self._source is None:
            raise RuntimeError("InMemoryTelemetry is in force only inside its with block")
        self._source.flush_records()
        return self._source

    def _collect(self) -> _Source:
        source = self._read()
        source.collect()
        return source

    def _enter_own(self) -> None:
        from otel_ml._telemetry import configure
        from otel_ml._telemetry.engine import OwnEngine

        keywords: dict[str, Any] = {}
        if self.clock is not None:
            keywords["clock"] = self.clock
        if self.ids is not None:
            keywords["ids"] = self.ids
        engine = OwnEngine(self.config, make_transport=self._transport, periodic=False, **keywords)
        self._engine = engine
        self._undo.append(_swap_globals(engine.tracer_provider, engine.meter_provider, engine.logger_provider))
        configure.adopt(configure.Telemetry("own", self.config, engine), engine)
        self._source = _OwnSource(engine, self.transports)

    def _enter_guest(self) -> None:
        from otel_ml._telemetry import configure

        source = _GuestSource(self.ids)
        self._undo.append(_swap_globals(source.tracer_provider, source.meter_provider, source.logger_provider))
        configure.adopt(configure.Telemetry("guest", self.config, None, "test"), None)
        self._source = source

    def _transport(self, signal: Signal, _settings: SignalConfig) -> MemoryTransport:
        return self.transports.setdefault(signal, MemoryTransport(signal))


class _Source:
    """Where decoded telemetry comes from."""

    def flush_records(self) -> None:
        """Brings out spans and log records."""

    def collect(self) -> None:
        """Collects metrics once; `requests` gives this collection only."""
        raise NotImplementedError

    def requests(self, signal: str) -> list[bytes]:
        raise NotImplementedError

    def spans(self) -> list[dict[str, Any]]:
        from otel_ml.testing import _decode

        return _decode.spans(self.requests("traces"))

    def logs(self) -> list[dict[str, Any]]:
        from otel_ml.testing import _decode

        return _decode.logs(self.requests("logs"))

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        from otel_ml.testing import _decode

        return _decode.metrics(self.requests("metrics"))

    def instruments(self) -> dict[str, dict[str, str]]:
        from otel_ml.testing import _decode

        return _decode.instruments(self.requests("metrics"))

    def resource(self) -> dict[str, Any]:
        from otel_ml.testing import _decode

        return _decode.resource(self.requests("metrics"))


class _OwnSource(_Source):
    def __init__(self, engine: OwnEngine, transports: dict[str, MemoryTransport]) -> None:
        self._engine = engine
        self._transports = transports

    def flush_records(self) -> None:
        self._engine.flush_records(monotonic() + _TIMEOUT)

    def collect(self) -> None:
        if "metrics" in self._transports:
            self._transports["metrics"].requests.clear()
        self._engine.flush(monotonic() + _TIMEOUT)

    def requests(self, signal: str) -> list[bytes]:
        transport = self._transports.get(signal)
        return [] if transport is None else list(transport.requests)


class _GuestSource(_Source):
    """Stock providers with stock in-memory exporters."""

    def __init__(self, ids: CountingIds | None) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from otel_ml._telemetry.sdk.id_generator import SeedProofIdGenerator
        from otel_ml.semconv import SERVICE_INSTANCE_ID, SERVICE_NAME

        resource = Resource.create({SERVICE_NAME: "test", SERVICE_INSTANCE_ID: _INSTANCE})
        generator = SeedProofIdGenerator() if ids is None else SeedProofIdGenerator(ids)
        self._span_exporter = InMemorySpanExporter()
        self._log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self._reader = InMemoryMetricReader()
        self._collected: list[bytes] = []
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=generator)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._span_exporter))
        self.logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._log_exporter))
        self.meter_provider = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)

    def collect(self) -> None:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        data = self._reader.get_metrics_data()
        self._collected = [] if data is None else [encode_metrics(data).SerializeToString()]

    def requests(self, signal: str) -> list[bytes]:
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        if signal == "traces":
            return [encode_spans(self._span_exporter.get_finished_spans()).SerializeToString()]
        if signal == "logs":
            return [encode_logs(self._log_exporter.get_finished_logs()).SerializeToString()]
        return self._collected


def _swap_globals(tracer_provider: Any, meter_provider: Any, logger_provider: Any) -> Callable[[], None]:
    """Replaces the OTel globals and gives the way back.

    The API lets each be set once a process, so a test must open its private guards, as the project's own
    opentelemetry-test-utils do in ``globals_test.py``. Nothing else in otel-ml touches them.
    """
    from opentelemetry import trace
    from opentelemetry._logs import _internal as logs
    from opentelemetry.metrics import _internal as metrics
    from opentelemetry.util._once import Once

    places: list[tuple[Any, str, Any]] = [
        (trace, "_TRACER_PROVIDER", tracer_provider),
        (metrics, "_METER_PROVIDER", meter_provider),
        (logs, "_LOGGER_PROVIDER", logger_provider),
    ]
    former = [(module, name, getattr(module, name)) for module, name, _ in places]
    former += [(module, f"{name}_SET_ONCE", getattr(module, f"{name}_SET_ONCE")) for module, name, _ in places]
    for module, name, provider in places:
        once = Once()
        once.do_once(lambda: None)
        setattr(module, f"{name}_SET_ONCE", once)
        setattr(module, name, provider)

    def undo() -> None:
        for module, name, value in former:
            setattr(module, name, value)

    return undo


def fail_on_internal_errors(kit: InMemoryTelemetry) -> None:
    """Fails a test in which otel-ml swallowed an exception of its own."""
    counts = _guard.counts()
    if counts and not kit.internal_errors_expected:
        raise AssertionError(f"internal errors of otel-ml: {counts}; see the log lines of 'otel_ml'")


try:
    import pytest
except ImportError:  # the kit works without pytest
    pass
else:

    @pytest.fixture
    def telemetry() -> Iterator[InMemoryTelemetry]:
        """Telemetry of one test in own mode; internal errors of otel-ml fail the test."""
        with InMemoryTelemetry() as kit:
            yield kit
            kit.flush()
            fail_on_internal_errors(kit)

    @pytest.fixture
    def guest_telemetry() -> Iterator[InMemoryTelemetry]:
        """Telemetry of one test in guest mode, over stock SDK providers."""
        with InMemoryTelemetry("guest") as kit:
            yield kit
            fail_on_internal_errors(kit)
