"""The same value in another type or precision, or as text, is the same value of a feature.

Sources: NannyML/nannyml#397 (categories of numbers), feast-dev/feast#4031 (types of a file), alteryx/woodwork#1518 (booleans as
categories), prestodb/presto#5645 (zeros with a sign), pandas-dev/pandas#55544 and lightgbm-org/LightGBM#2134 (intervals of
`pd.cut`), alteryx/woodwork#1384 (UUIDs).
"""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile
from otel_ml.quality import FeatureDrift, FeatureMonitor, Schema
from otel_ml.quality._drift import DriftCounts

FLAGS = np.random.default_rng(0).random(2000) < 0.3
STEPS = np.random.default_rng(0).integers(1, 13, 20_000)


def compare(profile: ReferenceProfile, values: object) -> FeatureDrift:
    scan = DriftCounts(profile)
    scan.count({"x": values}, len(values))
    (found,) = scan.features()
    return found


def compare_rows(profile: ReferenceProfile, values: list[object]) -> tuple[int, int]:
    """Returns how many values rows had in the bin of unseen ones, and how many broke a rule."""
    monitor = FeatureMonitor({}, profile=profile)
    for value in values:
        monitor.observe_row({"x": value}, None, None)
    return monitor.cells.bins[-1] if profile.features[0].kind == "category" else 0, monitor.cells.invalid


CODES = [1, 2, 3] * 700
HOURS = 1_700_000_000 + 3600 * np.random.default_rng(0).integers(0, 200, 20_000)
SAME = {
    "whole numbers": (
        CODES,
        [np.array(CODES, "float32"), [str(code) for code in CODES], [f"{code}.0" for code in CODES]],
    ),
    "wide whole numbers": ([2**60 + 1, 2**60 + 3] * 500, [["1152921504606846977", "1152921504606846979"] * 500]),
    "wide whole numbers, some missing": (
        [2**60 + 1, 2**60 + 3, None] * 500,
        [
            pd.array([2**60 + 1, 2**60 + 3, None] * 500, dtype="Int64"),
            ["1152921504606846977", "1152921504606846979", None] * 500,
        ],
    ),
    "nullable wide whole numbers": (
        pd.array([2**60 + 1, 2**60 + 3, None] * 500, dtype="Int64"),
        [[2**60 + 1, 2**60 + 3, None] * 500],
    ),
    "booleans": (
        FLAGS,
        [FLAGS.astype(int), FLAGS.astype(float), FLAGS.astype(str), [str(flag).lower() for flag in FLAGS]],
    ),
    "flags of numbers": (FLAGS.astype(int), [FLAGS, [str(flag) for flag in FLAGS], FLAGS.astype("float32")]),
    "texts of numbers": (["1", "2"] * 500, [[1, 2] * 500, [1.0, 2.0] * 500, np.array([1, 2] * 500, "int8")]),
    "texts": (["yes", "no"] * 500, [[" yes", "no\n"] * 500, pd.Series(["yes", "no"] * 500, dtype="category")]),
    "decimals": ([Decimal("1.10"), Decimal("2.50")] * 500, [[1.1, 2.5] * 500, np.array([1.1, 2.5] * 500, "float32")]),
    "fractions": (
        np.round(STEPS * 0.1, 1),
        [STEPS * 0.1, np.round(STEPS * 0.1, 1).astype("float32"), [Decimal(int(step)) / 10 for step in STEPS]],
    ),
    "fractions of arithmetic": (
        np.where(np.arange(20_000) % 2, STEPS * 0.1, np.round(STEPS * 0.1, 1)),
        [STEPS * 0.1, np.round(STEPS * 0.1, 1), np.round(STEPS * 0.1, 1).astype("float32")],
    ),
    "hours in seconds": (HOURS, [HOURS.astype("float32"), HOURS.astype(float), HOURS.tolist()]),
    "categories of booleans": (pd.Categorical(FLAGS), [FLAGS, FLAGS.astype(int), pd.array(FLAGS, dtype="boolean")]),
    "zeros with a sign": (
        [-1.0, -0.0, 1.0] * 500,
        [["-1", "-0", "1"] * 500, ["-1.00", "-0.00", "1.00"] * 500, [-1, 0, 1] * 500],
    ),
    "large floats": (
        pd.Categorical([2.3843e16, 1e17] * 500),
        [["2.3843e+16", "1e+17"] * 500, [23843000000000000, 10**17] * 500, [2.3843e16, 1e17] * 500],
    ),
    "numbers beside booleans": ([1, True, 1.0, "x"] * 500, [["1", "True", "1.0", "x"] * 500]),
    "identifiers of a database": (
        [UUID(int=1), UUID(int=2), None] * 500,
        [["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002", None] * 500],
    ),
    "intervals": (
        pd.cut(np.arange(1000) % 60, [-1, 20, 40, 60]),
        [
            pd.cut(np.arange(1000) % 60, [-1, 20, 40, 60]).astype(str),
            list(pd.cut(np.arange(1000) % 60, [-1, 20, 40, 60])),
        ],
    ),
    "single precision": (np.round(STEPS * 0.1, 1).astype("float32"), [STEPS * 0.1, np.round(STEPS * 0.1, 1)]),
}


@pytest.mark.parametrize("sensitive", [(), ("x",)])
@pytest.mark.parametrize("name", SAME)
def test_the_same_values_have_the_same_bins(name, sensitive):
    """Type, precision and spelling change no bin and break no rule, in frames and in rows."""
    values, others = SAME[name]
    profile = ReferenceProfile.fit({"x": values}, sensitive=sensitive)
    calm = compare(profile, values).psi
    for other in (values, *others):
        found = compare(profile, other)
        assert (found.verdict, found.psi) == ("ok", calm)
        listed = other.tolist() if hasattr(other, "tolist") else list(other)
        assert compare_rows(profile, listed[:300]) == (0, 0)


@pytest.mark.parametrize(
    ("values", "other"),
    [
        (["01", "02", "10"] * 500, [1, 2, 10] * 500),
        (["a", "b"] * 500, ["A", "B"] * 500),
        ([1, 2] * 500, [1.5, 2.5] * 500),
        (["1.0", "1"] * 500, ["1.00", "2"] * 500),
    ],
)
def test_values_that_differ_stay_apart(values, other):
    """Codes with leading zeros, another case and fractions are other values."""
    assert compare(ReferenceProfile.fit({"x": values}), other).verdict == "unseen"


@pytest.mark.parametrize("digits", [1, 2, 6])
def test_rounded_scores_have_the_same_bins_in_single_precision(digits):
    """A score that is the bound of a bin, such as 0.35, stays in it."""
    scores = np.round(np.random.default_rng(0).random(20_000), digits)
    profile = ReferenceProfile.fit({"score": scores, "x": [1, 2] * 10_000}, "score")
    assert profile.output.labels[7] == "07 [0.35, 0.4)"
    found = []
    for values in (scores, scores.astype("float32"), scores.tolist()):
        scan = DriftCounts(profile)
        scan.count({"x": [1, 2] * 10_000}, 20_000, output=values)
        found.append(next(one for one in scan.features() if one.name == "__prediction__"))
    assert [one.verdict for one in found] == ["ok"] * 3
    assert len({one.psi for one in found}) == 1


def test_spellings_that_training_tells_apart_are_kept():
    """Where the reference has two spellings of one number, each keeps its bin."""
    feature = ReferenceProfile.fit({"x": ["1", "1.0", "1.0"] * 500}).features[0]
    assert [feature.find_bin(value) for value in ("1", 1, "1.0")] == [1, 1, 0]


def test_a_declared_domain_has_the_same_equality():
    """Schema and bins recognise a category in the same forms."""
    profile = ReferenceProfile.fit({"x": [0, 1] * 500, "y": [True, False] * 500})
    x, y = Schema.from_profile(profile).columns
    assert [x.broken_rule(value) for value in (1, 1.0, "1", "1.0", True, "true", "01", 2)] == [None] * 6 + [
        "domain"
    ] * 2
    assert [y.broken_rule(value) for value in (True, 1, "0", "FALSE", "no")] == [None] * 4 + ["domain"]


def test_categories_with_many_digits_of_a_former_file_are_found(tmp_path):
    """Files of format 2 have single-precision categories with all their digits; they mean the same numbers."""
    profile = ReferenceProfile.fit({"x": ["0.8999999761581421", "0.25"] * 500})
    profile.save(tmp_path / "profile.json")
    entry = json.loads((tmp_path / "profile.json").read_text("utf-8"))
    assert entry["features"][0]["categories"] == ["0.25", "0.8999999761581421"]
    assert compare(profile, np.array([0.9, 0.25] * 500, "float32")).verdict == "ok"
    assert compare(profile, [0.9, 0.25] * 500).verdict == "ok"
