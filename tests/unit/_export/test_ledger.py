"""How answers are entered in the book."""

from __future__ import annotations

import pytest

from otel_ml._export.answers import Answer
from otel_ml._export.ledger import Book, Ledger


@pytest.mark.parametrize(
    ("answer", "expected", "failed"),
    [
        (Answer("accepted"), Ledger(5, 5), 0),
        (Answer("accepted", rejected=2), Ledger(5, 3, 2), 2),
        (Answer("accepted", rejected=70), Ledger(5, 0, 5), 5),
        (Answer("accepted", rejected=-1), Ledger(5, 5), 0),
        (Answer("rejected"), Ledger(5, 0, 5), 5),
        (Answer("too_large"), Ledger(5, dropped={"too_large": 5}), 5),
    ],
)
def test_each_record_ends_in_one_place(answer, expected, failed):
    """The ledger adds up whatever number a receiver claims to have refused."""
    book = Book()
    book.produce(5)

    assert book.enter(answer, 5) == failed
    assert (book.read(), book.failed(), book.read().lost()) == (expected, failed, failed)


def test_records_that_never_got_into_a_queue_are_produced_and_dropped():
    """Such records count as produced too, so that the sum holds."""
    book = Book()
    book.drop_unqueued("queue_full", 3)

    assert book.read() == Ledger(3, dropped={"queue_full": 3})
