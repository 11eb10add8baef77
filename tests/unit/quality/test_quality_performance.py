"""What a profile keeps of label and output, compares and exports."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml import semconv
from otel_ml.cli import main
from otel_ml.quality import FeatureInstruments, FeatureMonitor, Performance, ProfileError, ProfileScan, ReferenceProfile
from otel_ml.quality.counting._model_series import ModelSeries
from otel_ml.testing import InMemoryTelemetry

RANDOM = np.random.default_rng(4)


@pytest.fixture(scope="module")
def loans() -> pd.DataFrame:
    """Loans with the probability of a default, and what happened; half of the labels have not come."""
    score = RANDOM.random(2_000)
    default = np.where(RANDOM.random(2_000) < score, "default", "paid")
    return pd.DataFrame({"income": RANDOM.normal(size=2_000), "p": score, "y": pd.Series(default).where(score > 0.4)})


@pytest.fixture(scope="module")
def profile(loans: pd.DataFrame) -> ReferenceProfile:
    return ReferenceProfile.fit(loans, score={"default": "p"}, label="y")


def test_a_profile_keeps_label_and_performance(profile: ReferenceProfile, loans: pd.DataFrame) -> None:
    """Neither column is a feature; rows without a label are left out of the performance."""
    labelled = int(loans["y"].notna().sum())
    assert [feature.name for feature in profile.all_features()] == ["income", "__prediction__", "__label__"]
    assert profile.columns == ("income",)
    assert profile.label is not None
    assert profile.performance is not None
    assert (profile.label.categories, profile.label.missing) == (("default", "paid"), 2_000 - labelled)
    found = dataclasses.replace(profile.performance, figures={})
    assert found == Performance("binary", labelled, 2_000 - labelled, {})
    known = loans.dropna()
    right = (known["p"] > 0.5) == (known["y"] == "default")
    assert profile.performance.figures["accuracy"] == right.mean()
    text = (
        f"performance (binary) on {labelled:,} labelled rows, {2_000 - labelled:,} without label or output: accuracy 0."
    )
    assert text in repr(profile)


def test_the_file_keeps_both(profile: ReferenceProfile, tmp_path) -> None:
    """A change of a figure is found by the checksum; a figure that does not exist is damage."""
    path = tmp_path / "p.json"
    profile.save(path)
    assert ReferenceProfile.load(path) == profile
    content = json.loads(path.read_text())
    content["performance"]["figures"]["auc"] = 0.99
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="edited or damaged"):
        ReferenceProfile.load(path)
    content["performance"]["figures"]["luck"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="unknown figures"):
        ReferenceProfile.load(path)


def test_a_sensitive_label_is_opaque(loans: pd.DataFrame, tmp_path) -> None:
    """Neither file nor labels of bins have its classes; the figures are the same."""
    path = tmp_path / "p.json"
    made = ReferenceProfile.fit(loans, score={"default": "p"}, label="y", sensitive=["y"])
    made.save(path)
    assert made.label is not None
    assert made.label.labels == ("c00", "c01", "__other__", "__unseen__")
    assert "paid" not in path.read_text()
    plain = ReferenceProfile.fit(loans, score={"default": "p"}, label="y")
    assert made.performance == plain.performance


def test_a_label_is_compared_over_the_rows_that_have_one(profile: ReferenceProfile, loans: pd.DataFrame) -> None:
    """Labels that have not come are no finding; other labels are drift."""
    late = loans.assign(y=loans["y"].where(RANDOM.random(2_000) < 0.6))
    found = {each.name: each for each in profile.compare(late, label="y").features}
    assert (found["__label__"].verdict, found["__label__"].count) == ("ok", late["y"].notna().sum())
    odd = loans.assign(y=late["y"].mask(late["y"].notna() & (RANDOM.random(2_000) < 0.1), "fraud"))
    unseen = {each.name: each for each in profile.compare(odd, label="y").features}["__label__"].shares["unseen"]
    assert unseen.share == (odd["y"] == "fraud").sum() / odd["y"].notna().sum()
    paid = loans.assign(y="paid")
    assert {each.name: each.findings for each in profile.compare(paid, label="y").features}["__label__"] == ("drifted",)
    assert "__label__" not in profile.compare(paid).findings


def test_the_output_of_several_classes_is_the_likeliest(tmp_path) -> None:
    """With a probability for each class the output is compared as the class that is predicted."""
    frame = pd.DataFrame(RANDOM.dirichlet([1, 2, 3], 600), columns=["p0", "p1", "p2"])
    frame["y"] = RANDOM.choice(["a", "b", "c"], 600)
    made = ReferenceProfile.fit(frame, score={"a": "p0", "b": "p1", "c": "p2"}, label="y")
    likeliest = frame[["p0", "p1", "p2"]].to_numpy().argmax(axis=1)
    assert made.output is not None
    assert made.performance is not None
    counts = dict(zip(made.output.categories, made.output.counts, strict=False))
    assert counts == {name: int((likeliest == place).sum()) for place, name in enumerate("abc")}
    assert made.performance.task == "multiclass"


def test_the_prediction_decides_where_it_is_given(loans: pd.DataFrame) -> None:
    """A model with another threshold has the accuracy of its own predictions, and is compared by its score."""
    known = loans.dropna().assign(predicted=lambda frame: np.where(frame["p"] > 0.9, "default", "paid"))
    made = ReferenceProfile.fit(known, score={"default": "p"}, label="y", prediction="predicted")
    assert made.performance is not None
    assert made.output is not None
    assert made.performance.figures["accuracy"] == (known["predicted"] == known["y"]).mean()
    assert made.output.kind == "number"
    assert made.columns == ("income",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "y", "label": "p"}, "are label and score swapped"),
        ({"score": "p", "label": "y"}, "give score={positive class: column}"),
        ({"score": {"default": "p", "paid": "nothing"}, "label": "y"}, "no column 'nothing'"),
        ({"score": {"default": "p", " default": "p"}, "label": "y"}, "is no class, or is there twice"),
        ({"score": "p", "label": "y", "task": "clustering"}, "no task 'clustering'"),
    ],
)
def test_wrong_use_gives_one_line(loans: pd.DataFrame, options, message: str) -> None:
    """The error says which columns do not fit together."""
    with pytest.raises(ProfileError) as raised:
        ReferenceProfile.fit(loans, **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_label_without_bins_is_named(loans: pd.DataFrame) -> None:
    """A date is no label that could be compared; without an output the rest of the profile is as ever."""
    dated = loans.assign(y=pd.Timestamp("2026-01-01"))
    with pytest.warns(UserWarning, match="not monitored: y: dates"):
        made = ReferenceProfile.fit(dated, label="y")
    assert (made.label, made.performance) == (None, None)


def test_rankings_that_all_differ_have_performance_without_bins() -> None:
    """Their columns are named as not monitored; without labels there is nothing to keep of them, which is an error."""
    items = [f"item-{row}" for row in range(200)]
    frame = pd.DataFrame(
        {"a": range(200), "ranked": [[item, "other"] for item in items], "chosen": [[item] for item in items]}
    )
    with pytest.warns(UserWarning, match="ranked, chosen: 200 distinct values .* identifier or free text$"):
        made = ReferenceProfile.fit(frame, prediction="ranked", label="chosen", task="ranking", numeric=["a"])
    assert (made.output, made.label) == (None, None)
    assert made.performance is not None
    assert (made.performance.task, made.performance.figures["ndcg"]) == ("ranking", 1.0)
    with pytest.raises(ProfileError, match="output column 'ranked' cannot be binned"):
        ReferenceProfile.fit(frame, prediction="ranked")


@pytest.mark.parametrize("mode", ["own", "guest"])
def test_a_service_exports_label_and_performance(profile: ReferenceProfile, mode: Any) -> None:
    """The bins of the label as those of a feature, without values; each figure of the reference, and its rows."""
    with InMemoryTelemetry(mode) as telemetry:
        model = otel_ml.Model("m", "1", profile=profile)
        model.record({"income": 1.0}, prediction="paid", score=0.2)
        metrics = telemetry.metrics()
    label = profile.label
    performance = profile.performance
    assert label is not None
    assert performance is not None

    def series(metric: semconv.Metric, *names: str) -> dict[object, float]:
        return {
            tuple(point["attributes"][name] for name in names): point["value"]
            for point in metrics.get(metric.name, ())
            if point["attributes"].get(semconv.FEATURE_NAME, "__label__") == "__label__"
            and point["attributes"][semconv.PROFILE_ID] == profile.id
        }

    assert series(semconv.EVAL_REFERENCE, semconv.EVAL_FIGURE) == {(k,): v for k, v in performance.figures.items()}
    assert series(semconv.EVAL_REFERENCE_SIZE) == {(): performance.rows}
    shares = {(name,): share for name, share in zip(label.labels, label.shares, strict=True)}
    assert series(semconv.FEATURE_REFERENCE_SHARE, semconv.FEATURE_BIN) == shares
    assert series(semconv.FEATURE_REFERENCE_SIZE) == {(): label.size}
    assert series(semconv.FEATURE_EXPECTED_SHARE, semconv.FEATURE_FINDING).keys() == {("invalid",), ("unseen",)}
    assert series(semconv.FEATURE_VALUES, semconv.FEATURE_BIN) == {}


def test_the_label_takes_room_after_the_output(profile: ReferenceProfile) -> None:
    """If not all features can be exported, output and label are."""
    identity = {semconv.MODEL_NAME: "m", semconv.MODEL_VERSION: "1", semconv.MODEL_ROLE: "primary"}
    series = ModelSeries(FeatureMonitor(identity, profile=profile), lambda attributes: attributes)  # type: ignore[arg-type,return-value]
    assert [feature.name for _, feature in series.features] == ["__prediction__", "__label__", "income"]


def test_the_commands_take_label_prediction_and_task(loans: pd.DataFrame, tmp_path, capsys) -> None:
    """`profile` prints the performance, `drift` judges the label; with `--reference` the data need not have one."""
    train, new, path = tmp_path / "train.csv", tmp_path / "new.csv", tmp_path / "p.json"
    known = loans.dropna().assign(predicted=lambda frame: np.where(frame["p"] > 0.5, "default", "paid"))
    known.to_csv(train, index=False)
    options = ["--score", "p", "--label", "y", "--prediction", "predicted"]
    assert main(["profile", "--data", str(train), *options, "--task", "binary", "--output", str(path)]) == 0
    assert f"performance (binary) on {len(known):,} labelled rows: accuracy" in capsys.readouterr().out
    known.assign(y="paid").to_csv(new, index=False)
    assert main(["drift", "--profile", str(path), "--data", str(new), "--label", "y", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == {"__label__": ["drifted"]}
    known[["income"]].to_csv(new, index=False)
    assert main(["drift", "--reference", str(train), "--data", str(new), *options, "--fail"]) == 2
    assert "no column 'p'" in capsys.readouterr().err
    assert (
        main(["drift", "--reference", str(train), "--data", str(new), "--label", "y", "--exclude", "p", "--fail"]) == 1
    )
    capsys.readouterr()


def test_the_calibration_is_the_same_in_any_order_and_partition(tmp_path):
    """Parts in another order have the same bytes and the same calibration, which a file keeps; fits without it have none."""
    rng = np.random.default_rng(3)
    score = rng.random(3_000)
    frame = pd.DataFrame({"x": rng.normal(size=3_000), "p": score, "y": (rng.random(3_000) < score**2).astype(int)})
    parts = [frame.iloc[:700], frame.iloc[700:701], frame.iloc[701:]]
    scans = [ProfileScan(score="p", label="y") for _ in range(2)]
    for scan, order in zip(scans, ((0, 1, 2), (2, 0, 1)), strict=True):
        for at in order:
            scan.add(parts[at])
    whole = ReferenceProfile.fit(frame, score="p", label="y")
    whole.save(tmp_path / "p.json")

    assert scans[0].to_bytes() == scans[1].to_bytes()
    assert {scan.profile().calibration for scan in scans} == {whole.calibration}
    assert ReferenceProfile.load(tmp_path / "p.json") == whole
    assert (whole.calibration.rows, whole.calibration.classes) == (3_000, ("0", "1"))
    assert list(whole.calibration.shares[0]) == sorted(whole.calibration.shares[0])
    assert ReferenceProfile.fit(frame, score="p").calibration is None


def test_classes_in_the_score_column_have_no_calibration():
    """A score of 0 and 1 may be the predicted class: it says nothing of probabilities."""
    truth = np.arange(400) % 2
    frame = {"x": np.linspace(0, 1, 400), "z": truth ^ (np.arange(400) % 7 == 0), "y": truth}
    assert ReferenceProfile.fit(frame, score="z", label="y").calibration is None


def test_a_forked_child_estimates_from_zero():
    """The parent keeps its sums: the child is another instance."""
    score = np.random.default_rng(4).random(1_000)
    profile = ReferenceProfile.fit({"p": score, "y": (score > 0.5).astype(int)}, score="p", label="y")
    monitor = FeatureMonitor({}, profile=profile, calibration=profile.calibration)
    monitor.observe_row({}, "1", 0.9)
    assert monitor.cells.estimator.sums.predictions == [0, 1]
    monitor._reset_after_fork()
    assert (monitor.cells.estimator.sums.predictions, max(monitor.cells.estimator.sums.score_counts)) == ([0, 0], 0)


def test_monitors_of_one_model_add_up_what_they_counted_before():
    """The sums of a handle that counted before it was exported are in those of the model; another calibration is not."""
    score = np.random.default_rng(4).random(1_000)
    profile = ReferenceProfile.fit({"p": score, "y": (score > 0.5).astype(int)}, score="p", label="y")
    other = profile.calibration._replace(rows=5)
    monitors = [FeatureMonitor({}, profile=profile, calibration=each) for each in (profile.calibration,) * 2 + (other,)]
    instruments = FeatureInstruments(models=10, series=1_000)
    for monitor in monitors:
        monitor.observe_row({}, "1", 0.9)
        instruments.add(monitor)
    read = dict(instruments.read())
    assert [value for _, value in read[semconv.ESTIMATE_PREDICTIONS]] == [0, 2]
