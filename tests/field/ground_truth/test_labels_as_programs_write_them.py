"""Labels as programs write them into files: with exponents, signs, in rows of one value, as UUIDs, or not a number at all.

Sources: binjr/binjr#137 (``1.000e+00`` is what numpy's savetxt writes), tilo/smarter_csv#345 (the code ``12E12`` is not a number),
SeldonIO/seldon-core#910 (a truth is a table of one row), aws/sagemaker-scikit-learn-extension#17 and alteryx/evalml#3247 (targets that are no
numbers are dropped without a word), apache/pinot#18973 (items have UUIDs), pandas-dev/pandas#8596 (a merge makes floats of whole
numbers), mverleg/pyjson_tricks#93 and
dlareau/puzzlehunt_server#149 (the hour that comes twice).
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml.cli import main
from otel_ml.quality import ReferenceProfile
from otel_ml.testing import InMemoryTelemetry

NOTHING: dict[str, Any] = {}


@pytest.fixture
def truth(telemetry: InMemoryTelemetry, tmp_path: Path) -> Iterator[otel_ml.GroundTruth]:
    made = otel_ml.GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    yield made
    made.close()


def predict(truth: otel_ml.GroundTruth, predictions: list[Any], **keywords: Any) -> None:
    model = otel_ml.Model("m", ground_truth=truth, **keywords)
    for number, prediction in enumerate(predictions):
        model.record({}, prediction=prediction, id=str(number))
    truth.flush()


@pytest.mark.parametrize("keywords", [NOTHING, {"classes": [-1, 1]}], ids=["undeclared", "declared"])
@pytest.mark.parametrize("form", ["%.18e", "%.3E", "%+d", "%+.1f", "%d", "%.6f"])
def test_a_number_is_the_same_however_a_program_writes_it(
    truth: otel_ml.GroundTruth, tmp_path: Path, form: str, keywords: dict[str, Any]
) -> None:
    """A file of `numpy.savetxt`, of C, R or an SVM: -1 and 1 have their accuracy and are two classes."""
    predict(truth, [1, -1, 1, -1], task="binary", **keywords)
    labels = np.array([1, -1, -1, -1])
    table = np.rec.fromarrays([np.arange(4), labels], names="id,label")
    path = tmp_path / "labels.csv"
    np.savetxt(path, table, ["%d", form], ",", header="id,label", comments="")
    assert main(["label", "--store", f"sqlite:///{tmp_path}/predictions.db", str(path)]) == 0
    found = truth.compute_metrics(0, 4e9, model="m")
    assert (found["count"], found["accuracy"], sorted(found["per_class"])) == (4, 0.75, ["-1", "1"])


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e+05", 100_000), ("1.5e-03", 0.0015), ("-2.50e+00", -2.5), ("+7.0", 7), ("-0.0e+00", 0), ("1e+300", None)],
)
def test_categories_are_compared_alike(text: str, number: float | None) -> None:
    """The rule is the one of features: the cell of a category of numbers is not an unseen one."""
    profile = ReferenceProfile.fit({"c": [3 if number is None else number] * 50 + [8, 9] * 25}, categorical=("c",))
    (found,) = profile.compare({"c": [text] * 50 + ["8", "9"] * 25}).features
    assert ("unseen" in found.findings) is (number is None)


@pytest.mark.parametrize(
    ("predicted", "label"), [("12000", "12E3"), ("100000", "1e5"), ("1", "01"), ("1", "++1"), ("1", "+01")]
)
def test_a_code_is_not_a_number(truth: otel_ml.GroundTruth, predicted: str, label: str) -> None:
    """Programs write a sign and two digits of an exponent; a short one, or a leading zero, is part of a code."""
    predict(truth, [predicted, label], task="multiclass")
    truth.record_labels({"0": label, "1": label})
    assert truth.compute_metrics(0, 4e9, model="m")["accuracy"] == 0.5


@pytest.mark.parametrize("label", [[1], (1,), [[1]], ["1"], '["1"]', np.array([[1]]), {1}], ids=repr)
def test_a_row_of_one_value_is_the_value(truth: otel_ml.GroundTruth, label: Any) -> None:
    """For a model of single values; as JSON has a table of one row and one column."""
    predict(truth, [1], task="binary")
    assert truth.record_label("0", label) == "matched"
    assert truth.record_label("0", 1) == "duplicate"
    assert truth.compute_metrics(0, 4e9, model="m")["accuracy"] == 1.0


@pytest.mark.parametrize("label", [[2.123456789], [[2.123456789]], (2.123456789,), ["2.123456789"]], ids=repr)
def test_a_row_of_one_number_keeps_its_digits(truth: otel_ml.GroundTruth, label: Any) -> None:
    """Also of a label that waits, whose task is not known yet."""
    assert truth.record_label("1", label) == "waiting"
    predict(truth, [2.0, 2.0], task="regression")
    assert truth.record_label("0", label) == "matched"
    assert truth.compute_metrics(0, 4e9, model="m")["bias"] == pytest.approx(-0.123456789, abs=1e-15)


def test_a_row_of_classes_is_a_set(truth: otel_ml.GroundTruth) -> None:
    """A list in a list is a row, of 0 and 1 or of names; one that holds itself is nothing."""
    predict(truth, [["a"], ["a", "c"]], task="multilabel", classes=["a", "b", "c"])
    endless: list[Any] = []
    endless.append(endless)
    assert truth.record_labels([("0", [["a"]]), ("1", [[1, 0, 1]])]) == {"matched": 2}
    assert truth.record_label("0", endless) == "failed"
    assert truth.compute_metrics(0, 4e9, model="m")["exact_match"] == 1.0


@pytest.mark.parametrize("label", ["n/a", "1,5", "NaN", "inf", "12 kg", [1.0, 2.0]], ids=repr)
def test_a_label_of_a_regression_is_a_number(
    truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture, label: Any
) -> None:
    """Anything else fails with its reason; it neither counts as a label nor replaces one."""
    assert truth.record_label("1", label) == "waiting"
    predict(truth, [1.0, 2.0], task="regression")
    assert truth.record_label("0", 1.5) == "matched"
    assert truth.record_label("0", label) == "failed"
    reason = "several_values" if isinstance(label, list) else "not_a_number"
    assert truth.account().failed == {reason: 2}
    found = truth.compute_metrics(0, 4e9, model="m")
    assert (found["labelled"], found["count"], found["bias"]) == (1, 1, -0.5)
    assert sum("a label was not recorded" in message for message in caplog.messages) == 1


def test_items_may_be_uuids(truth: otel_ml.GroundTruth) -> None:
    """A ranking of what a database returns, and labels as texts or the other way round."""
    items = [uuid.UUID(int=number) for number in range(3)]
    predict(truth, [items, list(map(str, items))], task="ranking")
    assert truth.record_labels([("0", [str(items[0])]), ("1", {items[0]: 2.0})]) == {"matched": 2}
    assert truth.compute_metrics(0, 4e9, model="m")["ndcg"] == 1.0


@pytest.mark.parametrize("is_early", [False, True], ids=["labels last", "labels first"])
@pytest.mark.parametrize("model", [None, "m"])
def test_ids_that_a_merge_made_floats_are_found_in_a_file(
    truth: otel_ml.GroundTruth, tmp_path: Path, model: str | None, is_early: bool
) -> None:
    """A CSV file of such a column has ``123.0`` for 123; an id that is written so is exact, and other fractions are ids."""
    path, url = tmp_path / "labels.csv", f"sqlite:///{tmp_path}/predictions.db"
    merged = pd.DataFrame({"id": [7, 8]}).merge(pd.DataFrame({"id": [7, 8], "order": [10, 11]}), how="outer")
    merged.loc[2] = [9, np.nan]
    merged.assign(label=1).dropna().to_csv(path, index=False)
    command = ["label", "--store", url, "--id", "order", str(path), *(["--model", model] if model else [])]

    def predict_all() -> None:
        made = otel_ml.Model("m", task="binary", ground_truth=truth)
        made.record({}, prediction=1, id=10)
        made.record({}, prediction=1, id="11.0")
        otel_ml.Model("other", ground_truth=truth).record({}, prediction=0, id="11")
        made.record([{}, {}], prediction=[1, 0], id="12", batch=True)
        truth.flush()

    if is_early:
        assert main(command) == 0
    predict_all()
    if not is_early:
        assert main(command) == 0
    assert (truth.compute_metrics(0, 4e9, model="m")["labelled"], truth.account().waiting) == (2, 0)
    assert truth.compute_metrics(0, 4e9, model="other")["labelled"] == 0
    assert [truth.record_label(name, 1) for name in ("10", "10.00", "10.5", "12.0", "12.1")] == [
        *("duplicate", "waiting", "waiting", "matched", "matched")
    ]


@pytest.mark.parametrize("fold", [0, 1])
def test_the_hour_that_comes_twice_keeps_its_place(
    truth: otel_ml.GroundTruth, monkeypatch: pytest.MonkeyPatch, fold: int
) -> None:
    """A local time without a zone says by `fold` which of the two it is, in predictions and labels."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        moment = dt.datetime(2026, 11, 1, 1, 30, fold=fold)  # noqa: DTZ001 - local time
        otel_ml.Model("m", task="binary", ground_truth=truth).record({}, prediction=1, id="0", at=moment)
        truth.flush()
        truth.record_label("0", 1, moment)
    time.tzset()
    start = dt.datetime(2026, 11, 1, 5 + fold, 30, tzinfo=dt.timezone.utc)
    for by in ("predicted_at", "labeled_at"):
        found = truth.compute_metrics(start, start + dt.timedelta(seconds=1), model="m", by=by)
        assert found["labelled"] == 1
