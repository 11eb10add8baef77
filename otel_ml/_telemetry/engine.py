"""The engine of own mode: queues, worker, senders, providers and readers, put together and taken down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import Decision as SamplingDecision

from otel_ml import _guard, semconv
from otel_ml._export.export_log import log_losses
from otel_ml._export.ledger import Ledger
from otel_ml._instance import Instance
from otel_ml._telemetry import ports
from otel_ml._telemetry._foreign_calls import ForeignProviders
from otel_ml._telemetry._queues import RecordQueue, WorkQueue
from otel_ml._telemetry._signal_output import SignalOutput
from otel_ml._telemetry._worker import Worker
from otel_ml._telemetry.delivery import _transports
from otel_ml._telemetry.delivery._outbox import MakeTransport, Outbox, signal_settings
from otel_ml._telemetry.ids import RANDOM, Ids
from otel_ml._telemetry.metrics import _self_metrics
from otel_ml._telemetry.metrics._meters import Meters
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.otlp import _encoding, _repair
from otel_ml._telemetry.ports import Clock
from otel_ml._telemetry.predictions._family import PredictionFamily
from otel_ml._telemetry.predictions._queue import PendingBuckets, PredictionQueue
from otel_ml._telemetry.records import Attributes, AttributeValue
from otel_ml._telemetry.requests._family import RequestFamily
from otel_ml._telemetry.requests.cells import RequestCellSet
from otel_ml._telemetry.requests.spans import FinishedSpan, SpanEncoder
from otel_ml._telemetry.sdk import _exporters, _providers
from otel_ml._telemetry.sdk._remote_budget import RemoteBudget
from otel_ml._telemetry.sdk._sampling_rule import read_rule
from otel_ml._telemetry.sdk.id_generator import SeedProofIdGenerator
from otel_ml.config import EXPLICIT, SIGNALS, Config, ConfigError, Signal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Link, Tracer

    from otel_ml._telemetry.metrics._scrape_page import Page
    from otel_ml._telemetry.predictions.cells import CellSet, Identity

_LAST_WAIT: Final = 0.5
"""Seconds for a reader whose connection was cut at the end of a shutdown to write its book."""
_WORKER_SHARE: Final = 0.5
"""Part of a shutdown's time after which encoding ends, so that there is time left to send."""


@dataclass(slots=True)
class Decision:
    """A sampler's decision about one span."""

    sampled: bool
    trace_state: str
    attributes: Mapping[str, AttributeValue]


_NOT_SAMPLED: Final = Decision(sampled=False, trace_state="", attributes={})


class OwnEngine:
    """Own mode: everything that leaves the process goes through here.

    Args:
        config: The settings in force.
        make_transport: What carries the encoded requests of a signal.
        ids: Source of trace, span and prediction ids.
        clock: Clock of the predictions and of their metric points.
        periodic: False lets metrics be collected by `flush` only; for tests.
    """

    def __init__(
        self,
        config: Config,
        *,
        make_transport: MakeTransport = _transports.make_transport,
        ids: Ids = RANDOM,
        clock: Clock = time,
        periodic: bool = True,
    ) -> None:
        self.config = config
        self.ids = ids
        self.clock = clock
        self.fast_spans = True
        self.has_exporters = bool(config.traces.exporters or config.logs.exporters)
        self.exemplars = self.has_exporters and config.exemplar_filter != "always_off"
        self._notes: list[str] = []
        self._closed = False
        self._closing = threading.Lock()
        self._periodic = periodic
        service = "/".join(filter(None, (config.service_namespace, config.service_name or "unknown_service")))
        self.instance = Instance(service, configured=config.instance_id, folder=config.instance_dir)
        try:
            self._outbox = Outbox(config, make_transport)
            self._set_resource()
            self._models, requests = PredictionFamily(), RequestFamily()
            self.store = CellStore(self.resource, (self._models, requests), clock.time_ns)
            explicit = config.histogram_aggregation == EXPLICIT
            self.requests: RequestCellSet | None = requests.cells if explicit else None
            self._build_providers()
            self._build_metrics()
        except ConfigError:
            self.instance.release()
            raise
        self._build_worker()
        self.offer = self._predictions.offer
        self.offer_sized = self._predictions.offer_sized
        for reader in self._readers if periodic else ():
            reader.start()
        self._outbox.start()

    # What predictions and requests use, beside `offer` and `offer_span` (ports.Engine).

    def cells(self, identity: Identity) -> CellSet:
        """The cells of one model, folded at every collection from now on."""
        return self._models.cells(identity)

    def sample(  # noqa: PLR0913 - a span's kind is a keyword
        self,
        context: Context,
        trace_id: int,
        name: str,
        attributes: Attributes,
        links: list[Link],
        *,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    ) -> Decision:
        """Asks the provider's sampler; one that raises samples nothing."""
        decision = _guard.call("engine.sample", self._sample, context, trace_id, name, kind, attributes, links)
        return _NOT_SAMPLED if decision is None else decision

    def meter(self, name: str) -> Meter:
        """A meter of our provider."""
        return self.meter_provider.get_meter(name)

    def tracer(self, name: str) -> Tracer:
        """A tracer of our provider."""
        return self.tracer_provider.get_tracer(name)

    # What `Telemetry` uses.

    def ledger(self) -> dict[str, Ledger]:
        """The account of every signal now."""
        return {signal: book.read(self._waiting(signal)) for signal, book in self._outbox.books.items()}

    def notes(self) -> list[str]:
        """Lines for `otel-ml doctor`."""
        lines = [f"{signal}: to {signal_settings(self.config, signal).endpoint}" for signal in self._outbox.deliveries]
        for signal in SIGNALS:
            lines += _exporters.describe_path(signal, signal_settings(self.config, signal))
        lines += _providers.notes(self.config)
        if self.page is not None:
            lines.append(f"metrics: scrape page at {self.page.address}")
        lines.append(f"{semconv.SERVICE_INSTANCE_ID}: {self.instance.id}")
        return lines + self._notes

    def drain(self, deadline: float) -> bool:
        """Has the worker render and observe all that was offered before the call; nothing is sent."""
        return self._closed or self._worker.drain(deadline)

    def flush(self, deadline: float) -> bool:
        """Brings out all that was finished before the call; True when the first hop accepted all of it."""
        if self._closed:
            return True
        failed = self._outbox.failed()
        done = self.flush_records(deadline)
        for reader in self._readers:
            done = reader.flush(deadline) and done
        done = self._others.flush(deadline) and done
        return done and self._outbox.failed() == failed

    def flush_records(self, deadline: float) -> bool:
        """Brings out spans and log records, not metrics; False when the monotonic deadline passes first."""
        if self._closed:
            return True
        drained = self._worker.drain(deadline)
        return self._outbox.wait_idle(deadline) and drained

    def shutdown(self, deadline: float) -> bool:
        """Brings out what it can until the deadline; the rest is dropped and counted. False when something was lost."""
        if not self._closing.acquire(timeout=max(0.0, deadline - monotonic())):
            return False
        try:
            return self._closed or self._shut_down(deadline)
        finally:
            self._closing.release()

    def _shut_down(self, deadline: float) -> bool:
        self._closed = True
        failed = self._outbox.failed()
        now = monotonic()
        self._worker.stop(now + (deadline - now) * _WORKER_SHARE)
        ending = self._others.begin_shutdown()
        self._outbox.stop_retries(deadline)
        for reader in self._readers:
            reader.stop(deadline)
        self._outbox.stop(deadline)
        for reader in self._readers:  # whose connection has been cut just now
            reader.stop(monotonic() + _LAST_WAIT)
        if self.page is not None:
            _guard.call("engine.page", self.page.close)
        ended = [call.wait(deadline) for call in ending]
        self.instance.release()
        log_losses(self.ledger())
        return all(ended) and self._outbox.failed() == failed

    def reset_after_fork(self) -> None:
        """The child: empty queues, cells at zero, none of the parent's threads, an instance id of its own."""
        self._closing = threading.Lock()
        if self._closed:
            return
        if isinstance(self._sampler, RemoteBudget):
            self._sampler.reset_after_fork()
        self._outbox.reset_after_fork()
        self._worker.reset_after_fork()
        self._use_resource(_providers.child_resource(self.resource, self.instance.renew()))
        self.store.reset_after_fork(self.resource)
        if self.page is not None:
            self.page.reset_after_fork()
        self.meter_provider.reset_after_fork()
        for reader in self._readers if self._periodic else ():
            reader.start()

    # Assembly.

    def _set_resource(self) -> None:
        attributes = {**self.config.resource_attributes, semconv.SERVICE_INSTANCE_ID: self.instance.id}
        self._use_resource(Resource.create(attributes))

    def _use_resource(self, resource: Resource) -> None:
        self.resource = resource
        self._outbox.set_resource(resource.attributes, resource.schema_url)

    def _build_providers(self) -> None:
        senders, config = self._outbox.senders, self.config
        self._spans: RecordQueue[Any] | None = None
        self._logs: RecordQueue[Any] | None = None
        spans = _repair.encode_or_repair(_encoding.encode_sdk_spans, _repair.repair_span)
        records = _repair.encode_or_repair(_encoding.encode_sdk_logs, _repair.repair_log)
        if "traces" in senders:
            self._spans = RecordQueue("traces", spans, senders["traces"], limit=config.span_queue_size)
        if "logs" in senders:
            self._logs = RecordQueue("logs", records, senders["logs"], limit=config.log_queue_size)
        generator = _providers.id_generator(self.ids)
        if not isinstance(generator, SeedProofIdGenerator):
            self._use_sdk_spans(f"{_providers.ENV_ID_GENERATOR} names a generator that must make every id")
        self.fast_spans = self.fast_spans and not _exporters.has_console(config.traces)
        processors = _providers.span_processors(
            config,
            self._spans,
            flush=self.flush_records,
            on_foreign=self._on_foreign_processor,
        )
        self.tracer_provider = _providers.tracer_provider(config, self.resource, generator, processors)
        logs = _providers.log_processors(config, self._logs, flush=self.flush_records)
        self.logger_provider = _providers.logger_provider(self.resource, logs)
        held = ((self.tracer_provider, processors), (self.logger_provider, logs))
        self._others = ForeignProviders(lambda: [provider for provider, holds in held if holds.has_foreign])
        self._sampler: Sampler = self.tracer_provider.sampler
        self.sampling_rule = _guard.call("engine.sampling", read_rule, self._sampler)

    def _build_metrics(self) -> None:
        self.page: Page | None = None
        self.meter_provider = Meters(self._sdk_meters)
        _self_metrics.register(self.meter(semconv.SCOPE), self._account)

    def _account(self) -> dict[str, Ledger]:
        """The ledgers for a collection, which comes by also where the worker has nothing to do."""
        self.instance.keep()
        return self.ledger()

    def _sdk_meters(self) -> MeterProvider:
        """An SDK provider with readers of its own; a forked child makes another one, without the parent's page."""
        self._readers = _providers.readers(self.config, self._outbox, self.store)
        readers: list[MetricReader] = list(self._readers)
        if self.config.prometheus_port is not None and self.page is None:
            from otel_ml._telemetry.metrics._scrape_page import Page, PageReader

            page_reader = PageReader(self.store)
            service = str(self.resource.attributes.get(semconv.SERVICE_NAME, ""))
            self.page = Page(page_reader, self.config.prometheus_port, service)
            readers.append(page_reader)
        return _providers.meter_provider(self.resource, readers)

    def _build_worker(self) -> None:
        senders = self._outbox.senders
        scope = _encoding.encode_scope(semconv.SCOPE)
        emit = _providers.event_emitter(self.logger_provider) if _exporters.has_console(self.config.logs) else None
        traces = SignalOutput("worker.encode.span", _encoding.encode_span, scope, senders.get("traces"))
        logs = SignalOutput("worker.encode.event", _encoding.encode_event, scope, senders.get("logs"), emit)
        self._predictions = PredictionQueue(limit=self.config.queue_size, traces=traces, logs=logs)
        servers: RecordQueue[FinishedSpan] | None = None
        if "traces" in senders:
            servers = RecordQueue("traces", SpanEncoder(scope), senders["traces"], limit=self.config.queue_size)
        self.offer_span: Callable[[FinishedSpan], object] = _send_nowhere if servers is None else servers.offer
        queues: list[WorkQueue] = [
            self._predictions,
            PendingBuckets(self._models.all_cells),
            *(queue for queue in (servers, self._spans, self._logs) if queue is not None),
        ]
        self._worker = Worker(queues, delay=self.config.schedule_delay, housekeeping=self.instance.keep)
        self.wake_worker = self._worker.wake

    # Steps.

    def _sample(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        context: Context,
        trace_id: int,
        name: str,
        kind: trace.SpanKind,
        attributes: Attributes,
        links: list[Link],
    ) -> Decision:
        result = self._sampler.should_sample(context, trace_id, name, kind, attributes, links)
        state = result.trace_state
        sampled = result.decision is SamplingDecision.RECORD_AND_SAMPLE
        return Decision(sampled, state.to_header() if state else "", dict(result.attributes))

    def _waiting(self, signal: Signal) -> int:
        return sum(queue.waiting(signal) for queue in self._worker.queues)

    def _on_foreign_processor(self, name: str) -> None:
        """A foreign span processor exports spans, even if we have no exporter ourselves."""
        self.exemplars = self.config.exemplar_filter != "always_off"
        self._use_sdk_spans(f"the span processor {name} was added and must see every span")
        _guard.call("engine.notice", ports.renew, self)

    def _use_sdk_spans(self, why: str) -> None:
        self.fast_spans = False
        self._notes.append(f"traces: SDK path, because {why}")


def _send_nowhere(span: FinishedSpan) -> None:
    """No exporter was asked for."""
