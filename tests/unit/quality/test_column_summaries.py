"""What is kept of a column depends on its values alone: not on the order of the rows, and not on the parts."""

from __future__ import annotations

import json
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.quality.summaries import ColumnSummary, NumberSummary, WeightedNumbers
from otel_ml.quality.training._column_values import read_column

RNG = np.random.default_rng(0)
ROWS = 120_000
PART = RNG.random(ROWS)
REST = RNG.lognormal(3, 1, ROWS)
COLUMNS = {
    "few": RNG.integers(0, 30, ROWS),
    "bytes": RNG.integers(-128, 128, ROWS).astype(np.int8),
    "long": REST,
    "offset": 1.7e9 + RNG.random(ROWS) * 1e7,
    "both signs": RNG.standard_cauchy(ROWS),
    "mean imputed": np.where(PART < 0.3, 29.69911764705882, REST),
    "whole": RNG.integers(0, 10**9, ROWS),
    "large": RNG.integers(2**60, 2**63 - 1, ROWS),
    "unsigned": RNG.integers(0, 2**64 - 1, ROWS, dtype=np.uint64),
    "whole floats": RNG.integers(0, 10**6, ROWS).astype(float),
    "zeros": np.where(PART < 0.5, -0.0, 0.0),
}


def text(summary: ColumnSummary) -> str:
    return json.dumps(summary.content(), sort_keys=True)


@pytest.mark.parametrize("name", COLUMNS)
def test_parts_in_any_order_have_the_summary_of_the_whole(name):
    """Also beyond the number of distinct values that are kept exactly, in parts of very different sizes."""
    values = COLUMNS[name]
    whole = text(read_column(values))
    cuts = [0, 1, 5000, 60_000, ROWS]
    parts = [read_column(values[first:last]) for first, last in zip(cuts, cuts[1:], strict=False)]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        assert text(reduce(ColumnSummary.merge, [parts[place] for place in order])) == whole
    right = parts[0].merge(parts[1].merge(parts[2].merge(parts[3])))
    assert text(right) == whole
    assert text(ColumnSummary.from_content(json.loads(whole))) == whole


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, 2**53, 2.0**53, 2**53 + 1, "1", " 1", "a", b"a", 1e300]),
    st.text(max_size=3),
    st.dates(),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(VALUES, st.integers(0, 2)), max_size=12), st.booleans())
def test_values_of_any_type_add_up(rows, numeric):
    """Numbers, texts, booleans and others in any mixture, where each part has some of them."""
    whole = read_column([value for value, _ in rows], numeric=numeric)
    parts = [read_column([value for value, part in rows if part == number], numeric=numeric) for number in range(3)]
    assert text(reduce(ColumnSummary.merge, reversed(parts))) == text(whole)


@pytest.mark.parametrize(
    ("name", "value"), [("mean imputed", 29.69911764705882), ("mean imputed", None), ("long", None)]
)
def test_a_heavy_number_among_close_ones_is_found(name, value):
    """A number that holds a third of the column keeps its exact value; without one, none is found."""
    summary = NumberSummary.of(COLUMNS[name] if value else REST)
    assert summary.buckets.shift
    weighted = summary.weighted()
    assert len(weighted) == ROWS
    assert weighted.counts.max() < ROWS / 1000 if value is None else weighted.values[weighted.counts.argmax()] == value
    if value is not None:
        assert weighted.counts.max() == pytest.approx((COLUMNS[name] == value).sum(), rel=0.005)


def test_several_heavy_numbers_in_one_bucket_are_told_apart():
    """Two numbers that differ in the last bits only share a bucket."""
    close = np.nextafter(50.7, 51)
    weighted = NumberSummary.of(np.where(PART < 0.2, 50.7, np.where(PART < 0.3, close, REST))).weighted()
    heavy = weighted.values[weighted.counts > ROWS / 50]
    assert heavy.tolist() == [50.7, close]


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "unsigned"])
def test_counts_and_quantiles_are_those_of_numpy(name):
    """Exactly as long as all distinct values are kept, and within one row in a thousand beyond."""
    values = COLUMNS[name].astype(float)
    summary = NumberSummary.of(COLUMNS[name])
    weighted = summary.weighted()
    fractions = np.linspace(0, 1, 41)
    found, expected = weighted.quantiles(0, ROWS, fractions), np.quantile(values, fractions)
    if not summary.buckets.shift:
        assert found.tolist() == expected.tolist()
    assert found[[0, -1]].tolist() == [values.min(), values.max()]
    for one, share in zip(found, fractions, strict=True):
        assert np.mean(values < one) - 0.001 <= share <= np.mean(values <= one) + 0.001
    edges = np.unique(expected[1:-1]).tolist()
    exact = np.histogram(values, [-np.inf, *edges, np.inf])[0]
    assert np.abs(np.array(weighted.count_bins(edges)) - exact).max() <= (ROWS / 1000 if summary.buckets.shift else 0)


def test_whole_numbers_without_repetition_are_recognised_in_parts():
    """An identifier of a million rows repeats in no part; amounts do."""
    ids = RNG.permutation(10**6)
    parts = [NumberSummary.of(part) for part in np.split(ids, 10)]
    assert not reduce(NumberSummary.merge, parts).repeats()
    assert NumberSummary.of(np.concatenate((ids[:50_000], ids[:50_000]))).repeats()


def test_quantiles_of_few_numbers_are_those_of_numpy():
    """Between two numbers, and of one."""
    for size in range(1, 40):
        values = RNG.normal(0, 10.0 ** (size % 7), size)
        fractions = RNG.random(9)
        found = WeightedNumbers.of(values).quantiles(0, size, fractions)
        assert found.tolist() == np.quantile(values, fractions).tolist()
