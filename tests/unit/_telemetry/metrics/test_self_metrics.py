"""The ledgers as metrics: they are read once for all instruments of a collection."""

from __future__ import annotations

import pytest

from otel_ml._export.ledger import Ledger
from otel_ml._telemetry.metrics import _self_metrics


class Counting:
    def __init__(self):
        self.reads = 0

    def __call__(self):
        self.reads += 1
        return {"logs": Ledger(produced=self.reads)}


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def accounts(now):
    return _self_metrics.Accounts(Counting(), lambda: now[0])


def produced(accounts, instrument):
    return accounts.read(instrument)["logs"].produced


def test_the_instruments_of_a_collection_see_one_reading(accounts):
    """Produced and in flight agree; later records belong to the next collection."""
    collections = [[produced(accounts, name) for name in ("produced", "in_flight", "dropped")] for _ in range(3)]

    assert collections == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]


def test_an_old_reading_is_not_used(accounts, now):
    """An instrument that missed earlier collections does not see their figures."""
    first = produced(accounts, "produced")
    now[0] = _self_metrics.OLDEST + 0.1

    assert (first, produced(accounts, "dropped")) == (1, 2)


def test_a_forked_child_reads_its_own_ledgers():
    """A reading of the parent is not used in the child."""
    process_id = [1]
    accounts = _self_metrics.Accounts(Counting(), lambda: 0.0, lambda: process_id[0])
    first = produced(accounts, "produced")
    process_id[0] = 2

    assert (first, produced(accounts, "dropped")) == (1, 2)
