"""A column with many categories has no finding against its own training data; a flood of new ones has.

Sources: NannyML/nannyml#292, deepchecks/deepchecks PR #1815 (more categories than are kept); SeldonIO/alibi-detect#193 and
#222, evidentlyai/evidently#50 (new categories that are expected raise alarms).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile, Schema
from otel_ml.quality import FeatureDrift
from otel_ml.quality._drift import DriftCounts
from otel_ml.quality.training._fit import RARE_KEPT


def compare(profile: ReferenceProfile, frame: pd.DataFrame) -> FeatureDrift:
    scan = DriftCounts(profile)
    scan.count({name: frame[name] for name in frame}, len(frame))
    (found,) = scan.features()
    return found


def merchants(rows: int, distinct: int, seed: int = 0) -> pd.DataFrame:
    numbers = np.random.default_rng(seed).integers(0, distinct, rows)
    return pd.DataFrame({"merchant": np.array([f"M{number}" for number in numbers], dtype=object)})


def skus(rows: int, seed: int) -> pd.DataFrame:
    """Draws of a law with a long tail: new values keep coming."""
    weights = 1 / np.arange(1, 200_001) ** 1.1
    numbers = np.random.default_rng(seed).choice(200_000, rows, p=weights / weights.sum())
    return pd.DataFrame({"sku": np.array([f"S{number}" for number in numbers], dtype=object)})


@pytest.mark.parametrize(
    ("rows", "distinct", "sensitive"),
    [(60_000, 5000, ()), (60_000, 5000, ("merchant",)), (60_000, 15_000, ("merchant",)), (250_000, 100_000, ())],
)
def test_all_rare_categories_are_known(rows, distinct, sensitive, tmp_path):
    """All values of training are in the reference, also beyond the number of categories that are listed."""
    frame = merchants(rows, distinct)
    profile = ReferenceProfile.fit(frame, sensitive=sensitive)
    assert (profile.features[0].size, bool(profile.features[0].rare_filter)) == (rows, distinct > RARE_KEPT)
    profile.save(tmp_path / "p.json")
    read = ReferenceProfile.load(tmp_path / "p.json")
    assert (read, read.id) == (profile, profile.id)
    found = compare(read, frame)
    assert (found.verdict, found.count, found.shares["unseen"].share) == ("ok", rows, 0.0)
    assert found.psi < 1e-4
    (column,) = Schema.from_profile(read).columns
    assert {column.broken_rule(value) for value in frame["merchant"][:2000]} == {None}
    flood = compare(read, frame.assign(merchant="N" + frame["merchant"]))
    assert flood.verdict == "unseen"
    assert flood.shares["unseen"].share > 0.95


@pytest.mark.parametrize("rows", [1000, 5000, 20_000])
def test_new_categories_of_a_long_tail_are_expected(rows):
    """The share of new categories is that of Good and Turing, within its noise."""
    found = compare(ReferenceProfile.fit(skus(20_000, 1)), skus(rows, 2))
    unseen = found.shares["unseen"]
    assert (found.verdict, found.findings) == ("ok", ())
    assert abs(unseen.share - unseen.expected) < 0.03
    assert 0.2 < unseen.expected < 0.25
    assert found.psi < 0.03


def test_a_flood_of_new_categories_is_found():
    """Another 10 % of new values is a finding, although a fifth of the values is always new."""
    frame = skus(5000, 2)
    frame.loc[:1000, "sku"] = [f"T{number}" for number in range(1001)]
    assert "unseen" in compare(ReferenceProfile.fit(skus(20_000, 1)), frame).findings


def test_a_flood_of_new_categories_is_found_in_a_column_that_is_mostly_missing():
    """Unseen and expected share are both of all rows, so that missing values do not hide new ones."""

    def mostly_missing(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.where(pd.Series(np.arange(len(frame)) % 10 == 0, frame.index), None, axis=0)

    profile = ReferenceProfile.fit(mostly_missing(skus(50_000, 1)))
    assert compare(profile, mostly_missing(skus(5000, 2))).verdict == "ok"
    assert compare(profile, mostly_missing("new " + skus(5000, 2))).verdict == "unseen"


def test_a_new_category_breaks_a_rule_only_where_it_is_not_expected():
    """A column with a tail has no closed domain, one with three values has."""
    profile = ReferenceProfile.fit(skus(20_000, 1).assign(size=["S", "M", "L", "L"] * 5000))
    tail, size = Schema.from_profile(profile).columns
    assert (tail.broken_rule("nobody has seen it"), size.broken_rule("XXL")) == (None, "domain")


@pytest.mark.parametrize("kind", ["whole numbers", "texts"])
def test_categories_seen_once_are_counted_in_small_columns_too(kind):
    """Whole numbers that are treated as categories have a tail as texts have."""
    values = [1, 2, 3] * 200 + list(range(10, 25))
    frame = {"x": values if kind == "whole numbers" else [f"v{value}" for value in values]}
    feature = ReferenceProfile.fit(frame).features[0]
    assert (feature.kind, feature.singletons, sum(feature.shares)) == ("category", 15, pytest.approx(1))
    assert feature.shares[-1] == pytest.approx(15 / 615, rel=0.01)
    assert min(feature.shares) > 0


@pytest.mark.slow
def test_a_million_categories_have_one_small_filter():
    """Every category is recognised, of others about 2 in 100 are, and the file stays below 1.4 MB."""
    numbers = np.arange(2_100_000) % 1_000_000
    frame = pd.DataFrame({"merchant": np.array([f"M{number}" for number in numbers], dtype=object)})
    profile = ReferenceProfile.fit(frame)
    assert len(profile.features[0].rare_filter) < 1_400_000
    assert compare(profile, frame).verdict == "ok"
    assert compare(profile, frame[:100_000].assign(merchant="N" + frame["merchant"])).shares["unseen"].share > 0.95
