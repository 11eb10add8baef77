"""Tables in parts: what one part shows of a column or a task must not decide for all of them.

Sources: deepchecks/deepchecks#1820 (whole numbers to predict are taken for classes), whylabs/whylogs#979 (merged
profiles lose their performance figures), dask/fastparquet#455 (one column has another type in some files), dask/dask#5252
(partitions without values have another schema), dask/dask#3518 (the order of columns changes with the files that are read).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pytest

from otel_ml import DriftScan, ProfileScan, ReferenceProfile
from otel_ml.quality import ProfileError

RANDOM = np.random.default_rng(979)
ROWS = 2_400
CLASSES = {"a": "pa", "b": "pb", "c": "pc"}


def merged(parts: Sequence[pd.DataFrame], **options: Any) -> ReferenceProfile:
    """The profile of parts that were scanned one by one and travelled."""
    scans = [ProfileScan.from_bytes(ProfileScan(**options).add(part).to_bytes()) for part in parts]
    return reduce(ProfileScan.merge, scans).profile()


@pytest.mark.parametrize("size", [10, 300, ROWS])
@pytest.mark.parametrize("predicted", ["whole", "fraction", "prediction"])
def test_prices_in_whole_numbers_are_a_regression(size: int, predicted: str) -> None:
    """More than a thousand different whole numbers are no classes, however large the parts are."""
    price = RANDOM.integers(50_000, 900_000, ROWS)
    output = price * RANDOM.normal(1, 0.1, ROWS)
    frame = pd.DataFrame(
        {"age": RANDOM.normal(size=ROWS), "price": price, "out": output.round() if predicted == "whole" else output}
    )
    options = {"label": "price", ("prediction" if predicted == "prediction" else "score"): "out"}
    whole = ReferenceProfile.fit(frame, **options).performance
    parts = merged([frame[start : start + size] for start in range(0, ROWS, size)], **options).performance
    assert whole is not None
    assert (whole.task, whole.rows) == ("regression", ROWS)
    assert whole.figures["mae"] == pytest.approx(abs(frame["out"] - price).mean())
    assert parts == whole


@pytest.mark.parametrize("size", [500, ROWS])
def test_texts_that_are_no_classes_are_refused(size: int) -> None:
    """More than a thousand of them, in one part or in all together: the message says what to do."""
    items = [f"item {number}" for number in range(ROWS // 2)] * 2
    frame = pd.DataFrame({"age": RANDOM.normal(size=ROWS), "y": items})
    scan = ProfileScan(score="y", label="y")
    for start in range(0, ROWS, size):
        scan.add(frame[start : start + size])
    with pytest.raises(ProfileError, match="more than 1,000 classes in label or prediction: give task="):
        scan.profile()


def test_figures_of_classes_do_not_depend_on_the_order() -> None:
    """A mean over classes is the same to the last digit, whichever class comes first."""
    classes = [f"class {number}" for number in range(7)]
    frame = pd.DataFrame({"age": RANDOM.normal(size=ROWS)})
    frame["y"], frame["out"] = RANDOM.choice(classes, ROWS), RANDOM.choice(classes, ROWS)
    whole = ReferenceProfile.fit(frame, label="y", prediction="out")
    for _ in range(10):
        frame = frame.sample(frac=1, random_state=int(RANDOM.integers(2**31)))
        parts = [frame[start::3] for start in range(3)]
        assert merged(parts, label="y", prediction="out").id == whole.id


def test_a_part_without_labels_does_not_say_that_they_are_sets() -> None:
    """The probabilities of its rows would mean one class; the message asks for the task, which settles it."""
    frame = pd.DataFrame(RANDOM.random((200, 3)), columns=list(CLASSES.values()))
    frame["y"] = [["a", "b"], ["c"]] * 50 + [None] * 100
    parts = [frame[:100], frame[100:]]
    with pytest.raises(ProfileError, match="labels of some parts are sets.*give task='multilabel'"):
        merged(parts, score=CLASSES, label="y")
    assert merged([frame], score=CLASSES, label="y").performance.task == "multilabel"
    whole = ReferenceProfile.fit(frame, score=CLASSES, label="y", task="multilabel")
    assert merged(parts, score=CLASSES, label="y", task="multilabel").id == whole.id


@pytest.mark.parametrize("single", [0, 1])
def test_the_same_fraction_in_single_precision_has_one_bin(single: int) -> None:
    """A rate that some files hold in 32 bits and others in 64 is one value, under its short name."""
    rates = RANDOM.choice([0.1, 0.2, 0.5, 0.7], ROWS)
    parts = [
        pd.DataFrame({"rate": half.astype(np.float32) if place == single else half})
        for place, half in enumerate(np.array_split(rates, 2))
    ]
    (feature,) = merged(parts).features
    counts = {
        label.partition(" ")[2]: count for label, count in zip(feature.labels, feature.counts, strict=True) if count
    }
    assert sorted(counts.values()) == sorted(np.unique(rates.astype(np.float32), return_counts=True)[1].tolist())
    assert sorted(counts) == ["[0.1, 0.1]", "[0.2, 0.2]", "[0.5, 0.5]", "[0.7, 0.7]"]


def test_columns_have_the_order_of_most_rows() -> None:
    """Parts in another order, or without rows, do not change what the values of a row without names mean."""
    frame = pd.DataFrame({"x": [1, 2] * 60, "a": [3, 4] * 60, "m": [5, 6] * 60})
    parts = [frame[:100], frame[100:][["a", "m", "x"]], frame[:0][["m", "a", "x"]]]
    assert merged(parts).columns == merged(parts[::-1]).columns == ("x", "a", "m")


@pytest.mark.parametrize("columns", [["x", "t"], ["x"], []])
def test_an_empty_part_adds_nothing_to_a_comparison(columns: list[str]) -> None:
    """Its columns of times have no type, or are not there: no period is made of it."""
    frame = pd.DataFrame({"x": [1.5, 2.5] * 60, "t": pd.date_range("2026-01-01", periods=120, freq="h")})
    profile = ReferenceProfile.fit(frame[["x"]])
    empty = DriftScan(profile, by="day").add(pd.DataFrame({name: [] for name in columns}))
    one = DriftScan(profile, by="day").add(frame)
    assert empty.merge(one).to_bytes() == one.to_bytes()
