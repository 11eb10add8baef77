"""How many values each row lacks, found after a monitor has counted the rows."""

from __future__ import annotations

import numpy as np

from otel_ml._values.unread import UNKNOWN, UNREAD
from otel_ml.quality import Column, FeatureMonitor, MissingRows, Schema

MISSING = {"a": None, "b": 1, "c": 2}


def counted_after(row):
    """What is asked after the monitor has counted this row."""
    monitor = FeatureMonitor({}, profile=None, schema=Schema([Column("a"), Column("b"), Column("c")]))
    found = MissingRows(monitor)
    monitor.observe_row(row, None, None)
    return found


def test_only_columns_with_more_missing_values_are_looked_at():
    """Where the monitor found nothing missing, rows cost nothing."""
    found = counted_after({"a": None, "b": 1})  # c is absent

    assert found.count_row({"a": float("nan"), "b": None}) == 2
    assert found.count_row({}) == 0


def test_the_rows_of_a_batch_are_counted_one_by_one():
    """A column that is absent is missing in each row; one that was not read is missing in none."""
    found = counted_after({"b": 1})

    columns = {"a": np.array([1.0, np.nan]), "b": [None, None]}
    assert list(found.count_batch(columns, 2)) == [1, 2]
    assert list(found.count_batch({**columns, "c": UNREAD}, 2)) == [0, 1]
    assert found.count_row({"a": UNKNOWN, "b": 1, "c": UNREAD}) == 0
    assert list(found.count_batch({}, 2)) == [0, 0]
