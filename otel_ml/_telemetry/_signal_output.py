"""Where the worker puts the rendered spans or events of predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from otel_ml import _guard
from otel_ml._export.ledger import Book
from otel_ml._telemetry.otlp import _encoding
from otel_ml._telemetry.otlp._framing import Encoded, frame, join

if TYPE_CHECKING:
    from otel_ml._telemetry.delivery._sender import Sender

T = TypeVar("T")


class SignalOutput(Generic[T]):
    """Takes the rendered data of one signal to its sender, to an SDK exporter, or nowhere.

    Args:
        where: The step, for `otel_ml._guard`.
        encode: Encodes one datum.
        scope: The encoded instrumentation scope of the records.
        sender: None when this engine does not send the signal.
        divert: Takes the data in place of the sender (for an exporter that does not take bytes).
    """

    def __init__(
        self,
        where: str,
        encode: Callable[[T], bytes],
        scope: bytes,
        sender: Sender | None,
        divert: Callable[[T], None] | None = None,
    ) -> None:
        self._where = where
        self.encode = encode
        self._scope = scope
        self._sender = sender
        self._divert = divert
        self._book = sender.delivery.book if sender is not None and divert is None else Book()
        self.counts = sender is not None and divert is None
        """Whether the signal's ledger counts these records."""
        self.takes_bytes = divert is None

    def produce(self, count: int) -> None:
        """Counts records that the worker has taken."""
        if count:
            self._book.produce(count)

    def drop(self, reason: str, count: int) -> None:
        """Counts produced records that are dropped."""
        if count:
            self._book.drop(reason, count)

    def drop_unqueued(self, reason: str, count: int) -> None:
        """Counts records that are dropped before they were produced."""
        if count:
            self._book.drop_unqueued(reason, count)

    def adjust(self, expected: int, actual: int) -> None:
        """Corrects the book after rendering: missing data are invalid, additional ones are produced."""
        if actual > expected:
            self.produce(actual - expected)
        elif actual < expected:
            self.drop("invalid", expected - actual)

    def take(self, data: Sequence[bytes | T]) -> None:
        """Encodes what is not bytes yet and hands all of it on in its order."""
        runs: Iterable[tuple[type, Iterable[Any]]] = groupby(data, type)
        for kind, run in runs:
            if self._divert is not None:
                for datum in run:
                    _guard.call(self._where, self._divert, datum)
            elif self._sender is not None and kind is bytes:
                self._sender.put(join(self._scope, list(run)))
            elif self._sender is not None:
                records, invalid = _encoding.encode_each(self._encode_all, list(run), self._where)
                self.drop("invalid", invalid)
                self._sender.put(records)

    def push(self) -> None:
        """Makes the sender send what it holds back."""
        if self._sender is not None:
            self._sender.push()

    def _encode_all(self, data: Sequence[T]) -> list[Encoded]:
        return [frame(self._scope, self.encode(datum)) for datum in data]
