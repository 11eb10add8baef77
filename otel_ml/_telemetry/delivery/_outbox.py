"""The senders and books of all signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_ml._export.export_log import ExportLog, origin
from otel_ml._export.ledger import Book
from otel_ml._export.transport import Transport
from otel_ml._telemetry.delivery import _transports
from otel_ml._telemetry.delivery._delivery import Delivery
from otel_ml._telemetry.delivery._replay import Replay
from otel_ml._telemetry.delivery._sender import Bounds, Sender
from otel_ml._telemetry.delivery._spool import Spool
from otel_ml._telemetry.otlp import _encoding
from otel_ml.config import SIGNALS, Config, Signal, SignalConfig

RECORDS: Final[tuple[Signal, ...]] = ("traces", "logs")
"""The signals that the worker queues."""

MakeTransport = Callable[[Signal, SignalConfig], Transport]


class Outbox:
    """Sends encoded records.

    Cumulative metrics have no queue: the reader's thread delivers them, and the next export makes up for a failed one.
    """

    def __init__(self, config: Config, make_transport: MakeTransport) -> None:
        self.books: dict[Signal, Book] = {signal: Book() for signal in SIGNALS}
        self.deliveries: dict[Signal, Delivery] = {}
        self._logs: dict[str, ExportLog] = {}
        self.replay: Replay | None = None
        if config.spool_dir is not None:
            self.replay = Replay(Spool(config.spool_dir, limit=config.spool_size), self.books)
        is_cumulative = config.metric_temporality == "cumulative"
        self._queued_signals = {signal for signal in SIGNALS if signal != "metrics" or not is_cumulative}
        for signal in SIGNALS:
            settings = signal_settings(config, signal)
            if _transports.has_otlp(settings):
                self._add(signal, settings, make_transport)
        bounds = Bounds(config.send_queue_size, config.send_queue_bytes)
        self.senders: dict[Signal, Sender] = {
            signal: Sender(delivery, bounds)
            for signal, delivery in self.deliveries.items()
            if signal in self._queued_signals
        }

    def set_resource(self, attributes: Mapping[str, Any], schema_url: str) -> None:
        """Sends everything under this resource from now on."""
        encoded = _encoding.encode_resource(attributes, schema_url)
        for delivery in self.deliveries.values():
            delivery.resource = encoded

    def failed(self) -> int:
        """Returns the records so far that were rejected, dropped or spooled."""
        return sum(book.failed() for book in self.books.values())

    def has_room(self) -> bool:
        """Whether every sender has room."""
        return all(sender.has_room for sender in self.senders.values())

    def answered(self) -> int:
        """Returns the records so far that have a final answer."""
        return sum(book.answered() for book in self.books.values())

    def begin_flush(self, *signals: Signal) -> Callable[[float], bool]:
        """Begins a flush of these signals; see `Sender.begin_flush`."""
        waits = [self.senders[signal].begin_flush() for signal in signals if signal in self.senders]

        def wait_for_all(deadline: float) -> bool:
            done = [wait(deadline) for wait in waits]  # also for the others, after one that failed
            return all(done)

        return wait_for_all

    def ages(self) -> dict[str, float]:
        """Returns the seconds that the oldest queued record of each signal has waited."""
        return {signal: sender.oldest_age() for signal, sender in self.senders.items()}

    def begin_stop(self, deadline: float) -> None:
        """Refuses further spans and log records, and ends all pauses; every delivery ends at the deadline."""
        for delivery in self.deliveries.values():
            delivery.stop(deadline)
        for signal in RECORDS:
            if signal in self.senders:
                self.senders[signal].announce_stop()

    def stop(self, deadline: float) -> None:
        """Sends what is queued until the deadline and closes the connections."""
        for sender in self.senders.values():
            sender.announce_stop()
        for sender in self.senders.values():
            sender.stop(deadline)
        for delivery in self.deliveries.values():
            delivery.close()
        if self.replay is not None:
            self.replay.stop(deadline)

    def start(self) -> None:
        """Starts to replay what earlier processes left in the spool."""
        if self.replay is not None:
            self.replay.start()

    def reset_after_fork(self) -> None:
        for book in self.books.values():
            book.reset_after_fork()
        for log in self._logs.values():
            log.reset_after_fork()
        for delivery in self.deliveries.values():
            delivery.reset_after_fork()
        for sender in self.senders.values():
            sender.reset_after_fork()
        if self.replay is not None:
            self.replay.reset_after_fork()

    def _add(self, signal: Signal, settings: SignalConfig, make_transport: MakeTransport) -> None:
        transport = make_transport(signal, settings)
        receiver = origin(transport.endpoint)
        log = self._logs.setdefault(receiver, ExportLog(receiver, grpc=settings.protocol == "grpc"))
        delivery = Delivery(signal, transport, self.books[signal], timeout=settings.timeout, log=log)
        if self.replay is not None and signal in self._queued_signals:
            self.replay.serve(signal, make_transport(signal, settings), settings.timeout)
            delivery.replay = self.replay
        self.deliveries[signal] = delivery


def signal_settings(config: Config, signal: Signal) -> SignalConfig:
    """Returns the settings of one signal."""
    settings: SignalConfig = getattr(config, signal)
    return settings
