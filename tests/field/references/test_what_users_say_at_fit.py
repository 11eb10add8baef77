"""What a user says about a column at fit is followed, and checked.

Sources: mindsdb/mindshub#1071 (numbers taken for an identifier), apache/arrow#46223 (one odd cell makes a column of texts),
NannyML/nannyml#397 (no way to say that a column is a number), capitalone/DataProfiler#480 (no way to say that it is none),
awslabs/deequ#172 (fractions with a text among them).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile, Schema
from otel_ml.quality import FeatureDrift, FeatureMonitor, ProfileError
from otel_ml.quality._drift import DriftCounts

RNG = np.random.default_rng(0)
AMOUNTS = RNG.permutation(np.arange(1000, 151_000, 1000))
INCOME = RNG.lognormal(3, 1, 5000)


def compare(profile: ReferenceProfile, frame: dict[str, object]) -> FeatureDrift:
    scan = DriftCounts(profile)
    scan.count(frame, len(next(iter(frame.values()))))
    (found,) = scan.features()
    return found


def compare_rows(profile: ReferenceProfile, values: list[object]) -> tuple[int, int]:
    """Returns how many of the values are in bins, and how many rows break a rule."""
    monitor = FeatureMonitor({}, profile=profile)
    for value in values:
        monitor.observe_row({"x": value}, None, None)
    return sum(monitor.cells.bins), monitor.cells.invalid


def test_numbers_that_do_not_repeat_can_be_kept():
    """150 loan amounts look like an identifier; the reason names `keep`."""
    with pytest.warns(UserWarning, match="looks like an identifier; `keep` monitors it"):
        ReferenceProfile.fit({"x": AMOUNTS, "y": [0, 1] * 75})
    kept = ReferenceProfile.fit({"x": AMOUNTS}, keep=("x",))
    assert (kept.features[0].kind, len(kept.features[0].labels)) == ("number", 10)
    assert compare(kept, {"x": AMOUNTS}).findings == ()


def test_free_text_can_be_kept():
    """A kept text column has one bin for all rare values, and expects new ones."""
    names = [f"user {number}" for number in range(500)]
    profile = ReferenceProfile.fit({"x": names}, keep="x")
    assert profile.features[0].labels == ("__other__", "__unseen__")
    assert compare(profile, {"x": names}).verdict == "ok"
    assert compare(profile, {"x": [f"guest {number}" for number in range(500)]}).verdict == "ok"


@pytest.mark.parametrize("values", [[0, 1, 2, 3, 4] * 400, [True, False] * 1000, ["1", "2.5", " 3 "] * 500])
def test_few_values_texts_and_booleans_can_be_numbers(values):
    """A column of few numbers, of booleans or of texts that mean numbers has numeric bins and no finding against itself."""
    profile = ReferenceProfile.fit({"x": values}, numeric=("x",))
    assert (profile.features[0].kind, profile.features[0].invalid) == ("number", 0)
    assert (compare(profile, {"x": values}).verdict, compare(profile, {"x": values}).count) == ("ok", len(values))
    assert compare_rows(profile, values[:300]) == (300, 0)
    as_numbers = [float(value) for value in values]
    assert compare(profile, {"x": as_numbers}).psi == compare(profile, {"x": values}).psi


@pytest.mark.parametrize("sensitive", [(), ("x",)])
def test_one_odd_cell_is_one_invalid_value(sensitive):
    """A "?" among 5,000 numbers is reported and expected later; all other values are counted."""
    values = [*INCOME[:-1].tolist(), "?"]
    with pytest.warns(UserWarning, match="values without a bin count as invalid: x: 1 of 5,000"):
        profile = ReferenceProfile.fit({"x": values}, sensitive=sensitive)
    (feature,) = profile.features
    assert (feature.kind, feature.size, feature.invalid) == ("number", 4999, 1)
    assert feature.reference.expected["invalid"] == pytest.approx(1.5 / 5001)
    found = compare(profile, {"x": pd.Series(values, dtype=object)})
    assert (found.verdict, found.count, found.invalid, found.missing) == ("ok", 4999, 1, 0)
    assert compare_rows(profile, values[-300:]) == (299, 1)


def test_texts_of_numbers_with_odd_cells_are_numbers_by_the_user_s_word():
    """Without `numeric` the reason names it; with it the other cells are invalid, at the rate of training."""
    values = [*(f"{income:.4f}" for income in INCOME[:-500]), *["n/a"] * 500]
    with pytest.warns(UserWarning, match="its texts are numbers: `numeric` reads them"):
        ReferenceProfile.fit({"x": values, "y": [0, 1] * 2500})
    with pytest.warns(UserWarning, match="x: 500 of 5,000"):
        profile = ReferenceProfile.fit({"x": values}, numeric=["x"])
    found = compare(profile, {"x": values})
    assert (found.verdict, found.count, found.invalid) == ("ok", 4500, 500)
    assert compare(profile, {"x": ["n/a"] * 5000}).verdict == "invalid"
    assert compare(profile, {"x": INCOME}).verdict == "ok"


def test_a_few_texts_among_few_numbers_stay_categories():
    """Codes of which some are letters are categories, not numbers with invalid values."""
    (feature,) = ReferenceProfile.fit({"x": [*[1, 2, 3] * 500, *["X"] * 30]}).features
    assert (feature.kind, feature.categories, feature.invalid) == ("category", ("1", "2", "3", "X"), 0)


def test_numbers_with_letters_among_them_are_categories_by_the_user_s_word():
    """Account numbers of which a few have letters: all are texts, none is invalid."""
    accounts = ["31241AAA9", *(int(number) for number in RNG.integers(10**8, 10**9, 99))] * 30
    with pytest.warns(UserWarning, match="x: 30 of 3,000"):
        assert ReferenceProfile.fit({"x": accounts}).features[0].kind == "number"
    profile = ReferenceProfile.fit({"x": accounts}, categorical=("x",))
    assert (profile.features[0].kind, profile.features[0].invalid, profile.features[0].size) == ("category", 0, 3000)
    found = compare(profile, {"x": accounts})
    assert (found.verdict, found.invalid, found.shares["unseen"].share) == ("ok", 0, 0.0)


def test_many_texts_among_numbers_are_not_a_few_odd_cells():
    """A column with a fifth of texts is not a column of numbers with invalid values."""
    values = [*INCOME[:4000].tolist(), *["n/a"] * 1000]
    with pytest.warns(UserWarning, match="not monitored: x: .*free text"):
        ReferenceProfile.fit({"x": values, "y": [0, 1] * 2500})


def test_a_few_objects_among_texts_are_invalid():
    """Lists in a column of texts are counted as invalid, in training and later."""
    values = [*["a", "b"] * 500, *[[1]] * 20]
    with pytest.warns(UserWarning, match="x: 20 of 1,020"):
        profile = ReferenceProfile.fit({"x": values})
    found = compare(profile, {"x": values})
    assert (found.verdict, found.count, found.invalid, found.missing) == ("ok", 1000, 20, 0)


def test_numbers_turned_to_text_are_a_verdict_of_their_own():
    """All values of another type are invalid, in a batch and in rows."""
    profile = ReferenceProfile.fit({"x": INCOME})
    texts = [f"{income:,.2f}" for income in INCOME]
    found = compare(profile, {"x": texts})
    assert (found.verdict, found.count, found.invalid, found.psi) == ("invalid", 0, 5000, None)
    assert compare_rows(profile, texts[:50]) == (0, 50)


def test_scores_turned_to_text_are_invalid_too():
    """The output has no rules of a schema, and still every value of it is counted."""
    profile = ReferenceProfile.fit({"x": INCOME, "score": RNG.random(5000)}, "score")
    scan = DriftCounts(profile)
    scan.count({"x": INCOME}, 5000, output=["high"] * 5000)
    output = next(one for one in scan.features() if one.name == "__prediction__")
    assert (output.verdict, output.invalid, output.count, output.missing) == ("invalid", 5000, 0, 0)


def test_the_number_and_the_edges_of_bins_can_be_chosen():
    """A number is for all numeric columns, a mapping for the columns in it."""
    frame = {"x": INCOME, "y": INCOME, "z": ["a", "b"] * 2500}
    by_number = ReferenceProfile.fit(frame, bins=5)
    assert [len(feature.labels) for feature in by_number.features] == [5, 5, 4]
    by_column = ReferenceProfile.fit(frame, bins={"x": [10, 20.5], "y": 4})
    assert by_column.features[0].labels == ("00 (-inf, 10)", "01 [10, 20.5)", "02 [20.5, inf)")
    assert [len(feature.labels) for feature in by_column.features] == [3, 4, 4]
    codes = ReferenceProfile.fit({"x": [1, 2, 3] * 100}, bins={"x": [1.5]})
    assert (codes.features[0].kind, codes.features[0].counts) == ("number", (100, 200))


def test_a_periodic_feature_never_drifts(tmp_path):
    """A window of one hour differs from a day in training; other verdicts stay."""
    profile = ReferenceProfile.fit({"hour": list(range(24)) * 100}, periodic=("hour",))
    profile.save(tmp_path / "p.json")
    profile = ReferenceProfile.load(tmp_path / "p.json")
    found = compare(profile, {"hour": [7] * 1000})
    assert (found.verdict, found.psi > 1) == ("ok", True)
    assert compare(profile, {"hour": [31] * 1000}).verdict == "unseen"
    assert compare(ReferenceProfile.fit({"hour": list(range(24)) * 100}), {"hour": [7] * 1000}).verdict == "drifted"


@pytest.mark.parametrize("option", ["categorical", "numeric", "keep", "periodic", "sensitive"])
def test_a_name_that_is_no_column_is_refused_with_the_columns(option):
    """A misspelt name is an error, not a setting without effect."""
    with pytest.raises(ProfileError, match="no column 'incme'; there are income, kind"):
        ReferenceProfile.fit({"income": [1, 2], "kind": ["a", "b"]}, **{option: ("incme",)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categorical": ("x",), "numeric": ("x",)}, "x cannot be both"),
        ({"categorical": ("x",), "bins": {"x": 5}}, "x cannot be both"),
        ({"bins": 1}, "bins: a number from 2 to 50"),
        ({"bins": 2.5}, "bins: a number from 2 to 50"),
        ({"bins": "many"}, "bins: a number from 2 to 50"),
        ({"bins": {"x": 51}}, "bins of x: a number from 2 to 50"),
        ({"bins": {"x": [3, 1]}}, "bins of x: 1 to 49 edges"),
        ({"bins": {"x": [1, float("nan")]}}, "bins of x: 1 to 49 edges"),
        ({"bins": {"x": []}}, "bins of x: 1 to 49 edges"),
        ({"bins": {"z": 3}}, "no column 'z'"),
        ({"importance": {"z": 3}}, "no column 'z'"),
        ({"importance": [3]}, "importance is a mapping, or a Series"),
    ],
)
def test_what_contradicts_itself_is_refused(options, message):
    """A message says what to give instead."""
    with pytest.raises(ProfileError, match=message):
        ReferenceProfile.fit({"x": [1, 2] * 50}, **options)


def test_infinite_values_of_training_are_expected(tmp_path):
    """They have a bin and break no rule; without any in training they are invalid."""
    values = np.where(RNG.random(5000) < 0.02, np.inf, INCOME)
    profile = ReferenceProfile.fit({"x": values})
    profile.save(tmp_path / "p.json")
    profile = ReferenceProfile.load(tmp_path / "p.json")
    found = compare(profile, {"x": values})
    assert (found.verdict, found.count, found.invalid, found.psi < 1e-4) == ("ok", 5000, 0, True)
    assert compare_rows(profile, values.tolist()) == (5000, 0)
    assert Schema.from_profile(profile).columns[0].high < np.inf
    assert compare(ReferenceProfile.fit({"x": INCOME}), {"x": values}).verdict == "invalid"
    assert compare(profile, {"x": np.full(1000, -np.inf)}).verdict == "drifted"


def test_the_profile_prints_as_a_short_table():
    """Kind, bins, missing values and what was skipped, without a value of the data."""
    frame = {"x": INCOME, "job": ["canary-a", None] * 2500, "id": np.arange(5000)}
    with pytest.warns(UserWarning, match="not monitored: id"):
        shown = repr(ReferenceProfile.fit(frame, sensitive=("job",)))
    assert [line.split() for line in shown.splitlines()[1:4]] == [
        ["feature", "kind", "bins", "missing"],
        ["x", "number", "10", "0.0", "%"],
        ["job", "category", "3", "50.0", "%"],
    ]
    assert "id" in shown.splitlines()[4]
    assert "canary" not in shown


def test_the_warning_says_each_reason_once():
    """A table of pixels has more columns than are monitored: the warning names some of them, and counts the others."""
    pixels = RNG.integers(0, 17, (500, 64))
    with pytest.warns(UserWarning, match="not monitored") as caught:
        profile = ReferenceProfile.fit(pixels)

    named = ", ".join(f"f{place}" for place in range(32, 42))
    assert [str(warning.message) for warning in caught] == [
        f"not monitored: {named} and 22 more: only 32 features are monitored; give `importance` to choose them"
    ]
    assert len(profile.skipped) == 32


def test_texts_that_are_no_numbers_are_named_as_such():
    """A column of words is not empty, also if the user calls it one of numbers."""
    with pytest.warns(UserWarning, match="not monitored: city: none of its texts is a number"):
        ReferenceProfile.fit({"city": ["Bern", "Basel"] * 50, "x": [1.5, 2.5] * 50}, numeric=["city"])
