"""Delivery of one batch: an error in a part of it affects no other part."""

from __future__ import annotations

from otel_ml._export.answers import Answer
from otel_ml._export.export_log import ExportLog
from otel_ml._export.ledger import Book, Ledger
from otel_ml._telemetry.delivery._delivery import Delivery
from otel_ml._telemetry.otlp import _framing


class Scripted:
    """A transport with an answer for each request; the last one for all further ones."""

    endpoint = "http://127.0.0.1:4318"

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def post(self, body: bytes, timeout: float) -> Answer:
        """Answers without a network."""
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def close(self) -> None:
        """There is no connection."""

    def abandon(self) -> None:
        """There is no connection."""


class Torn(Answer):
    """An answer that cannot be read."""

    @property
    def rejected(self) -> int:
        """Raises, as a bug of ours would."""
        raise ArithmeticError

    @rejected.setter
    def rejected(self, value: int) -> None:
        """Takes nothing."""

    def __init__(self) -> None:
        object.__setattr__(self, "kind", "accepted")


def test_an_error_in_one_half_of_a_split_batch_costs_the_other_nothing(caplog):
    """Answers already entered stay, and each record ends in one place."""
    book = Book()
    transport = Scripted(Answer("too_large"), Answer("accepted"), Torn())
    delivery = Delivery("traces", transport, book, timeout=5.0, log=ExportLog("http://127.0.0.1:4318"))
    records = _framing.join(b"", [_framing.FRAMES[3] + b"abc"] * 4)
    book.produce(4)

    assert delivery.deliver(records) == []
    assert book.read() == Ledger(4, 2, 0, {"invalid": 2})
    assert [line.partition(" at ")[0] for line in caplog.messages] == [
        "otel-ml: sender.deliver failed with ArithmeticError"
    ]
