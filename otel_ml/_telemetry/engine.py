"""The engine of own mode: builds queues, worker, senders, providers and readers, and shuts them down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.resources import Resource

from otel_ml import _guard, _process, semconv
from otel_ml._export.export_log import log_losses
from otel_ml._export.ledger import Ledger
from otel_ml._process.backpressure import Backpressure
from otel_ml._process.instance import Instance
from otel_ml._telemetry import ports
from otel_ml._telemetry._foreign_calls import ForeignProviders
from otel_ml._telemetry._queues import RecordQueue, WorkQueue
from otel_ml._telemetry._signal_output import SignalOutput
from otel_ml._telemetry._worker import Worker
from otel_ml._telemetry.delivery import _transports
from otel_ml._telemetry.delivery._outbox import RECORDS, MakeTransport, Outbox, signal_settings
from otel_ml._telemetry.ids import RANDOM, Ids
from otel_ml._telemetry.metrics import _self_metrics
from otel_ml._telemetry.metrics._observed_family import ObservedFamily, ObservedSource
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.otlp import _encoding, _event_rows
from otel_ml._telemetry.ports import Clock
from otel_ml._telemetry.predictions._metric_family import PredictionFamily
from otel_ml._telemetry.predictions._queue import PendingBuckets, PredictionQueue
from otel_ml._telemetry.requests._metric_family import RequestFamily
from otel_ml._telemetry.requests.cells import RequestCellSet
from otel_ml._telemetry.requests.spans import FinishedSpan, SpanEncoder
from otel_ml._telemetry.sdk import _exporters, _providers
from otel_ml._telemetry.sdk._event_output import EventLoggerProvider, EventOutput
from otel_ml._telemetry.sdk._metric_pipeline import MetricPipeline
from otel_ml._telemetry.sdk._trace_sampling import SpanSampling
from otel_ml._telemetry.sdk.id_generator import SeedProofIdGenerator
from otel_ml.config import EXPLICIT, SIGNALS, Config, ConfigError, Signal

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer

    from otel_ml._telemetry.metrics._scrape_page import Page
    from otel_ml._telemetry.predictions.cells import CellSet
    from otel_ml._telemetry.predictions.model_cells import ModelIdentity
    from otel_ml._telemetry.records import Record

_WORKER_SHARE: Final = 0.5
"""Share of a shutdown's time for encoding, so that there is time left to send."""


class OwnEngine:
    """The engine of own mode, through which everything leaves the process.

    Args:
        config: The settings in force.
        make_transport: Makes the transport of a signal.
        ids: Source of trace, span and prediction ids.
        clock: Clock of the predictions and of their metric points.
        periodic: False collects metrics on `flush` only; for tests.
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
        self.record_limits = config.record_limits
        self.fast_spans = True
        self.has_exporters = bool(config.traces.exporters or config.logs.exporters)
        self.exemplars = self.has_exporters and config.exemplar_filter != "always_off"
        self._notes: list[str] = []
        self._closed = False
        self._closing = threading.Lock()
        self._failed_at_flush = 0
        """`Outbox.failed` at the end of the last flush."""
        service = "/".join(filter(None, (config.service_namespace, config.service_name or "unknown_service")))
        self.instance = Instance(service, configured=config.instance_id, folder=config.instance_dir)
        try:
            self._outbox = Outbox(config, make_transport)
            self._set_resource()
            self._build_store()
            self._build_providers()
            self._metrics = MetricPipeline(
                config, self._outbox, self.store, count=self._models.count_finished, periodic=periodic
            )
            self._metrics.provider.let_observe(self._observed.add, config.max_models)
        except ConfigError:
            self.instance.release()
            raise
        self._build_worker()
        self.offer = self._predictions.offer
        self.meter_provider = self._metrics.provider
        _self_metrics.register(self.meter(semconv.SCOPE), self._account, self._outbox.ages)
        self._metrics.start()
        self._outbox.start()

    # For predictions and requests, with `offer`, `offer_span` and `sample` (`ports.Engine`).

    def cells(self, identity: ModelIdentity, owner: object = None) -> CellSet:
        """Returns the cells of one model, created on first use and then folded at every collection."""
        return self._models.cells(identity, owner)

    def observe(self, source: ObservedSource) -> None:
        """Exports the source at every collection from now on."""
        self._observed.add(source)

    def offer_sized(self, record: Record, size: int, *, wait: bool = False) -> bool:
        """Hands a large record to the worker; returns False when it was dropped (and counted)."""
        return self._predictions.offer_sized(record, size, self._backpressure[0].wait if wait else None)

    def wait_for_room(self, size: int) -> None:
        """Waits until a record of about ``size`` bytes is neither dropped itself nor costs another its place."""
        for queue in self._backpressure:
            queue.wait(size)

    def meter(self, name: str) -> Meter:
        """Returns a meter of our provider."""
        return self.meter_provider.get_meter(name)

    def tracer(self, name: str) -> Tracer:
        """Returns a tracer of our provider."""
        return self._tracer if name == semconv.SCOPE else self.tracer_provider.get_tracer(name)

    # For `Telemetry`.

    def ledger(self) -> dict[str, Ledger]:
        """Returns the ledger of every signal."""
        ledgers: dict[str, Ledger] = {}
        for signal, book in self._outbox.books.items():
            folded = self._models.folded() if signal == "metrics" else ()
            ledgers[signal] = replace(book.read(self._waiting(signal)), folded=folded)
        return ledgers

    @property
    def page(self) -> Page | None:
        """The scrape page, if there is one."""
        return self._metrics.page

    def notes(self) -> list[str]:
        """Returns lines for `otel-ml doctor`."""
        lines = [f"{signal}: to {signal_settings(self.config, signal).address}" for signal in self._outbox.deliveries]
        for signal in SIGNALS:
            lines += _exporters.describe_path(signal, signal_settings(self.config, signal))
        lines += _providers.notes(self.config)
        if self.page is not None:
            lines.append(f"metrics: scrape page at {self.page.address}")
        lines.append(f"{semconv.SERVICE_INSTANCE_ID}: {self.instance.id}")
        return lines + self._models.notes() + self._notes

    def take_over(self, former: OwnEngine) -> None:
        """Makes the tracers, loggers and instruments that the service got from an ended engine export here."""
        former._span_processors.hand_over(self._span_processors)
        former._log_processors.hand_over(self._log_processors)
        self.meter_provider.take_over(former.meter_provider, former.meter(semconv.SCOPE))

    def drain(self, deadline: float) -> bool:
        """Waits until the worker has rendered and observed all records offered before the call; sends nothing."""
        return self._closed or self._worker.drain(deadline)

    def flush(self, deadline: float) -> bool:
        """Makes one attempt to export all that was finished before the call; what is not accepted stays queued.

        Returns:
            True when the first hop accepted all that was finished since the last flush.
        """
        done = self._closed or self._flush_all(deadline)
        before, self._failed_at_flush = self._failed_at_flush, self._outbox.failed()
        return done and self._failed_at_flush == before

    def _flush_all(self, deadline: float) -> bool:
        done = self.flush_records(deadline)
        wait_for_answers = self._outbox.begin_flush("metrics")
        done = self._metrics.flush(deadline) and done
        done = wait_for_answers(deadline) and done
        return self._foreign.flush(deadline) and done

    def flush_records(self, deadline: float) -> bool:
        """Makes one attempt to export spans and log records; returns True when they have a final answer."""
        if self._closed:
            return True
        wait_for_answers = self._outbox.begin_flush(*RECORDS)
        drained = self._worker.drain(deadline)
        return wait_for_answers(deadline) and drained

    def shutdown(self, deadline: float) -> bool:
        """Exports what it can until the deadline, drops and counts the rest; returns False when something was lost."""
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
        foreign_shutdowns = self._foreign.begin_shutdown()
        self._outbox.begin_stop(deadline)
        self._models.end()
        self._metrics.stop(deadline)
        self._outbox.stop(deadline)
        self._metrics.close()
        succeeded = [call.wait(deadline) for call in foreign_shutdowns]
        self.instance.release()
        log_losses(self.ledger())
        return all(succeeded) and self._outbox.failed() == failed

    def reset_after_fork(self) -> None:
        """Empties the queues, sets the cells to zero, starts threads and takes an instance id for the child."""
        self._closing = threading.Lock()
        self._failed_at_flush = 0
        if self._closed:
            return
        self._sampling.reset_after_fork()
        self._outbox.reset_after_fork()
        self._worker.reset_after_fork()
        self._use_resource(_providers.child_resource(self.resource, self.instance.reset_after_fork()))
        self.store.reset_after_fork(self.resource)
        self._metrics.reset_after_fork()

    # Assembly.

    def _set_resource(self) -> None:
        attributes = {**self.config.resource_attributes, semconv.SERVICE_INSTANCE_ID: self.instance.id}
        self._use_resource(Resource.create(attributes))

    def _use_resource(self, resource: Resource) -> None:
        self.resource = resource
        self._outbox.set_resource(resource.attributes, resource.schema_url)

    def _build_store(self) -> None:
        self._models = PredictionFamily(self.config.max_models, lambda: ports.renew(self))
        self._observed, requests = ObservedFamily(), RequestFamily()
        self.store = CellStore(self.resource, (self._models, requests, self._observed), self.clock.time_ns)
        explicit = self.config.histogram_aggregation == EXPLICIT
        self.requests: RequestCellSet | None = requests.cells if explicit else None

    def _build_providers(self) -> None:
        config = self.config
        self._sdk_queues = _providers.record_queues(config, self._outbox.senders)
        generator = _providers.id_generator(self.ids)
        if not isinstance(generator, SeedProofIdGenerator):
            self._use_sdk_spans(f"{_providers.ENV_ID_GENERATOR} names a generator that must make every id")
        self.fast_spans = self.fast_spans and not _exporters.has_console(config.traces)
        self._span_processors = spans = _providers.span_processors(
            config, self._sdk_queues.get("traces"), flush=self.flush_records, on_foreign=self._on_foreign_processor
        )
        self.tracer_provider = _providers.tracer_provider(config, self.resource, generator, spans)
        self._log_processors = logs = _providers.log_processors(
            config, self._sdk_queues.get("logs"), flush=self.flush_records
        )
        # The SDK changes the filters of warnings with each tracer: another thread may warn just then.
        self._tracer = self.tracer_provider.get_tracer(semconv.SCOPE)
        self.logger_provider = EventLoggerProvider(self.resource, logs)
        providers = ((self.tracer_provider, spans), (self.logger_provider, logs))
        self._foreign = ForeignProviders(lambda: [one for one, processors in providers if processors.has_foreign])
        self._sampling = SpanSampling(self.tracer_provider.sampler)
        self.sample, self.sampling_rule = self._sampling.sample, self._sampling.rule

    def _build_worker(self) -> None:
        senders, limits = self._outbox.senders, self.record_limits
        scope = _encoding.encode_scope(semconv.SCOPE)
        emit = _providers.event_emitter(self.logger_provider) if _exporters.has_console(self.config.logs) else None
        encode_span = partial(_encoding.encode_span, limits=limits)
        encode_event = partial(_encoding.encode_event, limits=limits)
        traces = SignalOutput("worker.encode.span", encode_span, scope, senders.get("traces"))
        logs = SignalOutput("worker.encode.event", encode_event, scope, senders.get("logs"), emit)
        encode_rows = partial(_event_rows.encode_rows, encode=encode_event, limits=limits)
        log_queue = self.config.log_queue_size
        self.logger_provider.output = EventOutput(encode_rows, self.offer_sized, self.wait_for_room, log_queue)
        self.logger_provider.sends = "logs" in senders
        self._predictions = PredictionQueue(limit=self.config.queue_size, traces=traces, logs=logs)
        servers: RecordQueue[FinishedSpan] | None = None
        if "traces" in senders:
            servers = RecordQueue("traces", SpanEncoder(scope, limits), senders["traces"], limit=self.config.queue_size)
        self.offer_span: Callable[[FinishedSpan], object] = _send_nowhere if servers is None else servers.offer
        queues: list[WorkQueue] = [
            self._predictions,
            PendingBuckets(self._models.all_cells),
            *([] if servers is None else [servers]),
            *self._sdk_queues.values(),
        ]
        self._worker = Worker(queues, delay=self.config.schedule_delay, housekeeping=self._housekeep)
        self.wake_worker = self._worker.wake
        self._backpressure = (
            Backpressure(self._has_room_before_worker, lambda: self._worker.taken),
            Backpressure(lambda _: self._closed or self._outbox.has_room(), self._outbox.answered),
        )

    def _has_room_before_worker(self, size: int) -> bool:
        """Whether every queue has room; if not, the worker makes some now instead of at its next round."""
        if self._closed or all(queue.has_room(size) for queue in self._worker.queues):
            return True
        self._worker.wake()
        return False

    def _housekeep(self) -> None:
        self.instance.keep()
        _process.warn_if_replaced(threading.get_ident)

    def _account(self) -> dict[str, Ledger]:
        """Returns the ledgers for a collection, and renews the instance's claim even while the worker is idle."""
        self.instance.keep()
        return self.ledger()

    def _waiting(self, signal: Signal) -> int:
        return sum(queue.waiting(signal) for queue in self._worker.queues)

    def _on_foreign_processor(self, name: str) -> None:
        """Switches to SDK spans. A foreign span processor exports spans even if we have no exporter ourselves."""
        self.exemplars = self.config.exemplar_filter != "always_off"
        self._use_sdk_spans(f"the span processor {name} was added and must see every span")
        _guard.call("engine.notice", ports.renew, self)

    def _use_sdk_spans(self, why: str) -> None:
        self.fast_spans = False
        self._notes.append(f"traces: SDK path, because {why}")


def _send_nowhere(span: FinishedSpan) -> None:
    """Drops a server span that has no exporter."""
