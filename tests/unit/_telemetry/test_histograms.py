"""Histogram cells and their exemplars."""

from __future__ import annotations

import pytest

from otel_ml._telemetry.histograms import EXEMPLARS_A_SERIES, Exemplar, HistogramCell


@pytest.mark.parametrize(("value", "bucket"), [(0.0, 0), (1.0, 0), (1.1, 1), (2.0, 1), (2.1, 2), (1e9, 2)])
def test_a_bucket_includes_its_upper_bound(value, bucket):
    """Upper bounds are inclusive, as in OTel."""
    cell = HistogramCell((1.0, 2.0))

    assert cell.record(value) == bucket
    assert (cell.counts[bucket], cell.total, cell.minimum, cell.maximum) == (1, value, value, value)


def test_exemplars_are_few_and_one_a_bucket():
    """The first exemplar of a bucket is kept, and at most four for a series."""
    cell = HistogramCell((1.0, 2.0, 3.0, 4.0, 5.0))
    kept = [cell.offer(bucket, Exemplar(1.0, 1, 1, 1)) for bucket in (0, 0, 1, 2, 3, 4)]

    assert kept == [True, False, True, True, True, False]
    assert len(cell.take_exemplars()) == EXEMPLARS_A_SERIES
    assert cell.take_exemplars() == {}
