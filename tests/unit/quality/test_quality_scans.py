"""A profile and a drift scan in parts: the bytes and the result depend on the rows alone."""

from __future__ import annotations

import pickle
from functools import reduce

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml import DriftScan, ProfileScan, ReferenceProfile
from otel_ml.quality import ProfileError

RNG = np.random.default_rng(5)
ROWS = 3000
OPTIONS = {"score": "p", "label": "y", "bins": {"fixed": [10, 20.5]}, "importance": {"amount": 2, "city": 1}}
SCORES = RNG.random(ROWS)
FRAME = pd.DataFrame(
    {
        "amount": RNG.lognormal(3, 1, ROWS),
        "age": RNG.integers(18, 90, ROWS),
        "city": RNG.choice(["a", "b", "c", "rare 1"], ROWS, p=[0.5, 0.3, 0.199, 0.001]),
        "fixed": RNG.normal(15, 5, ROWS),
        "user": RNG.permutation(ROWS),
        "gap": np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.integers(0, 5, ROWS)),
        "when": pd.date_range("2026-01-01", periods=ROWS, freq="min"),
        "p": SCORES,
        "y": (RNG.random(ROWS) < SCORES).astype(int),
    }
)


@pytest.fixture(scope="module")
def whole() -> ReferenceProfile:
    with pytest.warns(UserWarning, match="user: no whole number in it repeats.*when: dates"):
        return ReferenceProfile.fit(FRAME, **OPTIONS)


def scan(frame: object) -> ProfileScan:
    return ProfileScan(**OPTIONS).add(frame)


def saved(profile: ReferenceProfile, path: object) -> bytes:
    profile.save(path)
    return path.read_bytes()


@settings(max_examples=8)
@given(st.lists(st.integers(0, ROWS), max_size=5), st.randoms(use_true_random=False))
def test_parts_in_any_order_and_number_are_the_whole(cuts, random):
    """Also empty parts, and parts that come as bytes."""
    bounds = sorted([0, *cuts, ROWS])
    parts = [scan(FRAME.iloc[first:last]) for first, last in zip(bounds, bounds[1:], strict=False)]
    random.shuffle(parts)
    merged = reduce(ProfileScan.merge, [ProfileScan.from_bytes(part.to_bytes()) for part in parts])
    assert merged.to_bytes() == scan(FRAME).to_bytes()
    assert merged.rows == ROWS


@pytest.mark.filterwarnings("ignore:not monitored")
def test_the_profile_of_the_parts_is_that_of_the_whole(whole, tmp_path):
    """Byte by byte, with the label, the performance and the columns that are left out; a pickle is the same scan."""
    parts = [scan(FRAME.iloc[start::7]) for start in (3, 1, 0, 6, 2, 5, 4)]
    merged = reduce(ProfileScan.merge, [pickle.loads(pickle.dumps(part)) for part in parts])
    assert saved(merged.profile(), tmp_path / "parts") == saved(whole, tmp_path / "whole")
    assert whole.performance is not None
    assert whole.performance.rows == ROWS


def test_what_a_column_is_depends_on_all_parts():
    """Numbers in one part and texts, whole numbers with gaps, or nothing in another: the sum decides."""
    parts = [
        {"x": [1, 2, 3] * 40, "y": pd.Series([1, 2] * 60), "late": [None] * 120},
        {"y": pd.Series([1.0, None] * 30), "x": [1, 2, "unknown"] * 20},
        pd.DataFrame({"x": pd.Series([], dtype=object), "y": pd.Series([], dtype=object)}),
        {"x": np.array([2.0, 3.0] * 20), "y": [None] * 40, "late": ["a", "b"] * 20},
        pd.DataFrame(),
    ]
    merged = reduce(ProfileScan.merge, [ProfileScan().add(part) for part in reversed(parts)])
    profile = merged.profile()
    x, y, late = profile.features
    assert (profile.columns, profile.rows) == (("x", "y", "late"), 220)
    assert (x.kind, x.categories, x.size, x.missing) == ("category", ("2", "1", "3", "unknown"), 220, 0)
    assert (y.kind, y.categories, y.missing) == ("category", ("1", "2"), 70)
    assert (late.categories, late.missing) == (("a", "b"), 180)


def test_a_type_of_categories_in_one_part_counts_for_all():
    """A column of codes is a category if a part says so, also where another part has plain numbers."""
    codes = np.tile(np.arange(100), 30)
    parts = [ProfileScan().add({"x": pd.Categorical(codes[:1000])}), ProfileScan().add({"x": codes[1000:]})]
    (feature,) = parts[1].merge(parts[0]).profile().features
    assert (feature.kind, feature.size, feature.labels[0]) == ("category", 3000, "0")


def test_wrong_parts_are_refused_and_nothing_is_added():
    """Other options, bytes of something else, and a column that is nowhere."""
    scan = ProfileScan(sensitive=["x"]).add({"x": [1, 2] * 60})
    before = scan.to_bytes()
    with pytest.raises(ProfileError, match=r"different options \(sensitive\)"):
        scan.merge(ProfileScan().add({"x": [1]}))
    with pytest.raises(ProfileError, match="differ in length"):
        scan.add({"x": [1], "y": [1, 2]})
    assert scan.to_bytes() == before
    for wrong in (b"", b"x", before[:-5], pickle.dumps(1)):
        with pytest.raises(ProfileError, match="not of the format otel-ml/profile-scan"):
            ProfileScan.from_bytes(wrong)
    with pytest.raises(ProfileError, match="no column 'y'; there are x"):
        ProfileScan(keep=["y"]).add({"x": [1, 2] * 60}).profile()
    with pytest.raises(ProfileError, match="cannot be both"):
        ProfileScan(categorical=["x"], numeric=["x"])


def test_a_drift_scan_adds_up(whole):
    """Counts, periods, new categories and kinds of invalid values are those of one scan of all rows."""
    frame = FRAME.assign(city=np.where(FRAME.age < 30, "new " + FRAME.age.astype(str), FRAME.city))
    frame["amount"] = (
        frame["amount"].astype(object).where(frame.index % 50 > 1, "bad").where(frame.index % 50 > 0, True)
    )
    one = DriftScan(whole, by="day").add(frame, score="p", label="y", time="when")
    parts = [DriftScan(whole, by="day").add(frame.iloc[start::5], score="p", label="y") for start in (4, 0, 3, 1, 2)]
    merged = reduce(DriftScan.merge, [DriftScan.from_bytes(part.to_bytes(), whole) for part in parts])
    assert merged.to_bytes() == one.to_bytes() == pickle.loads(pickle.dumps(one)).to_bytes()
    assert merged.compare() == one.compare()
    found = {feature.name: feature for feature in merged.compare().features}
    assert found["amount"].invalid_kinds == ("boolean", "text")
    assert found["city"].verdict == "unseen"
    assert len(merged.compare().periods) == 3


def test_new_categories_beyond_the_bound_do_not_depend_on_the_order(whole):
    """A flood of new texts keeps the same ones, with their exact counts."""
    frame = pd.DataFrame({"city": [f"c{number}" for number in RNG.permutation(15_000)]})
    one = DriftScan(whole).add(frame)
    parts = [DriftScan(whole).add(frame.iloc[start::3]) for start in range(3)]
    assert reduce(DriftScan.merge, reversed(parts)).to_bytes() == one.to_bytes()


def test_scans_of_different_profiles_do_not_add_up(whole):
    """The error says so, also for bytes."""
    other = ReferenceProfile.fit({"age": [1, 2] * 60})
    with pytest.raises(ProfileError, match="different profiles"):
        DriftScan(whole).merge(DriftScan(other))
    with pytest.raises(ProfileError, match="split by different periods"):
        DriftScan(whole).merge(DriftScan(whole, by="day"))
    with pytest.raises(ProfileError, match=f"of the profile {other.id}"):
        DriftScan.from_bytes(DriftScan(other).to_bytes(), whole)
    with pytest.raises(ProfileError, match="not of the format"):
        DriftScan.from_bytes(b"", whole)


def test_profiles_with_the_same_bins_add_up():
    """Given edges and known categories add up, whatever order the categories have; else the error names the way."""
    options = {"bins": {"x": [0, 1]}}
    left = {"x": [-1.0, 0.5, 0.5, 2, None] * 30, "c": ["a", "a", "b", "a", "b"] * 30}
    right = {"x": [0.5, 3.0] * 30, "c": ["b", "a"] * 20 + ["b"] * 20}
    merged = ReferenceProfile.fit(left, **options).merge(ReferenceProfile.fit(right, **options))
    x, c = merged.features
    assert (merged.rows, x.counts, x.missing, x.low, x.high) == (210, (30, 90, 60), 30, -1.0, 3.0)
    with pytest.raises(ProfileError, match="bins of x differ: add up the data instead: `ProfileScan`"):
        ReferenceProfile.fit(left, **options).merge(ReferenceProfile.fit(right, bins={"x": [0, 2]}))
    with pytest.raises(ProfileError, match="different columns"):
        ReferenceProfile.fit(left, **options).merge(ReferenceProfile.fit({"x": [1.0, 2] * 60}, **options))


def test_a_warning_names_the_line_of_the_caller():
    """Warnings of a profile, whole or in parts, point at the line that fits it, so that a filter by module works."""
    frame = FRAME[["amount", "when"]]
    scan = ProfileScan().add(frame)
    with pytest.warns(UserWarning, match="not monitored: when: dates") as whole:
        ReferenceProfile.fit(frame)
    with pytest.warns(UserWarning, match="not monitored: when: dates") as in_parts:
        scan.profile()
    assert [warning.filename for warning in (*whole, *in_parts)] == [__file__] * 2
