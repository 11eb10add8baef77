"""The training reference: its bins, and the columns that are refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from otel_ml.quality import ProfileError, ReferenceProfile
from otel_ml.quality.summaries import WeightedNumbers
from otel_ml.quality.training._bins import coarse_edges


def fit(values, **keywords):
    return ReferenceProfile.fit({"x": values}, **keywords).features[0]


def test_census_features_have_readable_ordered_labels(census):
    """A number has quantile bins, a code has categories, and a sensitive column has no readable label."""
    labels = {feature.name: feature.labels for feature in census.all_features()}
    assert labels["AGEP"] == (
        "00 (-inf, 10)",
        "01 [10, 19)",
        "02 [19, 25)",
        "03 [25, 34)",
        "04 [34, 42)",
        "05 [42, 50)",
        "06 [50, 56)",
        "07 [56, 63)",
        "08 [63, 72)",
        "09 [72, inf)",
    )
    assert labels["MIL"] == ("4", "0", "2", "3", "__other__", "__unseen__")
    assert labels["RAC1P"] == ("c00", "c01", "c02", "c03", "c04", "__other__", "__unseen__")
    assert (labels["__prediction__"][0], labels["__prediction__"][19]) == ("00 [0, 0.05)", "19 [0.95, 1]")


def test_counts_are_those_of_numpy(census, train):
    """Every value of the reference is in one bin, right-open as in `numpy.histogram`."""
    ages = census.features[0]
    inner = np.histogram(train["AGEP"], bins=[-np.inf, *ages.edges, np.inf])[0]
    assert (ages.counts, ages.size, ages.missing) == (tuple(inner.tolist()), 6000, 0)


def test_shares_are_smoothed_and_add_up(census):
    """No share is 0, not even that of unseen categories, and all together are 1."""
    for feature in census.all_features():
        expected = [(count + 0.5) / (feature.size + 0.5 * len(feature.counts)) for count in feature.counts]
        assert feature.shares == pytest.approx(expected)
        assert sum(feature.shares) == pytest.approx(1)
        assert min(feature.shares) > 0


@pytest.mark.parametrize("same", [1, 1.0, np.int64(1), np.float32(1), "1", "1.0", True, "true"])
def test_a_category_is_recognised_in_every_form(same):
    """1, 1.0, numpy's, the text and the boolean are one category; 01 and 2 are others."""
    feature = fit([0, 1] * 50)
    assert [feature.find_bin(value) for value in (same, "01", 2)] == [feature.labels.index("1"), 3, 3]


def test_rare_categories_are_other_and_new_ones_unseen():
    """A category seen fewer than 20 times has no name, but differs from one that the reference does not have."""
    feature = fit(["teacher"] * 60 + ["judge"] * 19)
    assert feature.labels == ("teacher", "__other__", "__unseen__")
    assert [feature.find_bin(job) for job in ("teacher", "judge", "pilot")] == [0, 1, 2]
    assert "judge" not in repr(feature)


def test_at_most_twenty_categories_get_a_bin():
    """The 21st category by frequency is other."""
    values = [f"c{position:02d}" for position in range(25) for _ in range(20 + 25 - position)]
    feature = fit(values)
    assert feature.labels == (*(f"c{position:02d}" for position in range(20)), "__other__", "__unseen__")
    assert feature.counts[20:] == (sum(range(21, 26)), 0)


def test_long_categories_have_bounded_labels():
    """A label has at most 64 characters, and two long categories have different ones."""
    feature = fit(["a" * 100 + "1"] * 30 + ["a" * 100 + "2"] * 30)
    assert [len(label) for label in feature.labels[:2]] == [64, 64]
    assert len(set(feature.labels)) == 4


def test_missing_values_are_counted_separately():
    """None, NaN and pandas' NA are missing, not a category and not a number."""
    assert fit([1.5, None, float("nan"), *range(100)]).missing == 2
    assert fit(pd.Series([1, 2, None, pd.NA] * 30, dtype="Int64")).missing == 60
    assert fit(["a", "b", None] * 30).missing == 30


def test_infinite_values_of_training_are_in_the_end_bins():
    """An infinity in the reference changes no edge, and the range is that of the finite values."""
    feature = fit([float("inf"), float("-inf"), float("-inf"), *np.linspace(0, 1, 99)])
    plain = fit(np.linspace(0, 1, 99))
    assert (feature.size, feature.missing, feature.high, feature.infinite) == (102, 0, 1.0, True)
    assert (feature.edges, plain.infinite) == (plain.edges, False)
    assert (feature.counts[0] - plain.counts[0], feature.counts[-1] - plain.counts[-1]) == (2, 1)
    assert [feature.find_bin(value) for value in (float("-inf"), float("inf"))] == [0, len(feature.labels) - 1]
    assert plain.find_bin(float("inf")) is None


def test_nearly_constant_numbers_get_three_bins():
    """If all quantiles are equal, the frequent value has a bin, and what is below and above it."""
    feature = fit([0.0] * 990 + [float(value) / 7 for value in range(1, 31)])
    assert feature.labels == ("00 (-inf, 0)", "01 [0, 0]", "02 (0, inf)")
    assert feature.counts == (0, 990, 30)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (list(range(200)), "looks like an identifier"),
        ([f"user-{number}" for number in range(100)], "looks like an identifier or free text"),
        ([dt.date(2026, 1, 1)] * 30, "derive a number"),
        (np.array(["2026-01-01"] * 30, dtype="datetime64[D]"), "derive a number"),
        ([None] * 30, "no values"),
        (np.zeros((30, 2)), "2 dimensions"),
    ],
)
def test_a_column_that_cannot_be_a_feature_is_left_out_with_its_reason(values, reason):
    """Identifiers, free text, dates, empty and nested columns are named in a warning and in the profile."""
    frame = {"x": values, "good": [0, 1, 2] * (len(values) // 3) + [0] * (len(values) % 3)}
    with pytest.warns(UserWarning, match=f"x: .*{reason}"):
        profile = ReferenceProfile.fit(frame)
    assert [feature.name for feature in profile.features] == ["good"]
    assert reason in profile.skipped["x"]


def test_the_32_most_important_features_are_kept():
    """Of 40 columns the 8 lightest are left out."""
    frame = {f"f{number:02d}": [0, 1] * 30 for number in range(40)}
    with pytest.warns(UserWarning, match="only 32 features"):
        profile = ReferenceProfile.fit(frame, importance={name: float(name[1:]) for name in frame})
    assert [feature.name for feature in profile.features] == [f"f{number:02d}" for number in range(39, 7, -1)]


@pytest.mark.parametrize(
    ("values", "kind", "bins"),
    [
        (np.linspace(0, 1, 500), "number", 20),
        (np.linspace(-3, 9, 500), "number", 10),
        ([0, 1] * 50, "category", 4),
        (["no", "yes"] * 50, "category", 4),
        (list(range(500)), "number", 10),
    ],
)
def test_the_output_is_binned_by_its_kind(values, kind, bins):
    """A score has uniform bins, a regression quantiles, and classes one bin each."""
    output = ReferenceProfile.fit({"out": values}, score="out").output
    assert (output.name, output.kind, len(output.labels)) == ("__prediction__", kind, bins)


@pytest.mark.parametrize(
    ("frame", "keywords", "message"),
    [
        ({"a": [1, 2]}, {"label": "y"}, "no column 'y'; there are a"),
        ({"a": [1, 2], "b": [1]}, {}, "differ in length: 1, 2"),
        ({"a": 1}, {}, "the values of a column must be a sequence"),
        ({}, {}, "no column can be monitored"),
        ({"a": [None]}, {}, "no column can be monitored: a: it has no values"),
        ({"a": [1, 2], "s": [None, None]}, {"score": "s"}, "output column 's' cannot be binned"),
        (
            {"a": [1, 2]},
            {"label": ["a", "b"]},
            "label is one column, not a list of them: .* list of classes of each row",
        ),
        ({"a": [1, 2]}, {"score": ["a", "b"]}, "give {class: column}"),
        ({"__prediction__": [1]}, {}, "cannot be called __prediction__"),
        ({"a": [1, 2]}, {"importance": {"a": float("nan")}}, "importance of a is not a finite number"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(frame, keywords, message):
    """The error names what is wrong."""
    with pytest.raises(ProfileError, match=message):
        ReferenceProfile.fit(frame, **keywords)


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([float(year) for year in range(1990, 2001) for _ in range(3)], tuple(map(float, range(1991, 2000)))),
        ([0.0] * 990 + [1234.5] * 3, (620.0,)),
        ([7.0] * 990 + [7.25] * 30, (7.1,)),
        ([5.5] * 100, ()),
    ],
)
def test_sensitive_bins_stay_distinct(values, edges):
    """Edges have more than two digits if bins would merge; a single edge is not a value of the data."""
    assert coarse_edges(WeightedNumbers.of(values), 10) == edges


def test_a_sensitive_score_is_binned_without_its_values():
    """The output has opaque labels if its column is sensitive."""
    output = ReferenceProfile.fit(
        {"pay": [float(pay) + 0.5 for pay in range(100)]}, score="pay", sensitive=["pay"]
    ).output
    assert (output.sensitive, output.low, output.high, output.labels[:2]) == (True, None, None, ("00", "01"))
