"""Estimates on real data: right where only the inputs move, and contradicted by labels where the world has changed.

Sources: NannyML/nannyml#42 (scores are calibrated only if that makes them better), NannyML/nannyml#98 (two figures that
should be one differ by what calibration does to ranks), evidentlyai/evidently#869 (an estimate without ground truth).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score, roc_auc_score

from otel_ml import GroundTruth, Model, ReferenceProfile
from otel_ml._figures.estimates import EstimateSums, estimate_gaps
from otel_ml.cli import main
from otel_ml.testing import InMemoryTelemetry

ROOT = Path(__file__).parents[3]
CENSUS = ROOT / "examples" / "fastapi_service" / "data"
RAIN = ROOT / "tests" / "data" / "rainfall.parquet"
SHAPES = {"as they are": 1.0, "too low": 1.5, "too high": 0.5}
"""Powers of the scores of the census model: two of them are no probabilities."""


def census(power: float) -> tuple[pd.DataFrame, pd.DataFrame, ReferenceProfile]:
    train, replay = (pd.read_parquet(CENSUS / f"{name}.parquet") for name in ("train", "replay"))
    for frame in (train, replay):
        frame["p"] = frame["predicted_probability"] ** power
    profile = ReferenceProfile.fit(
        train[["AGEP", "p", "employed", "prediction"]], score="p", label="employed", prediction="prediction"
    )
    return train, replay, profile


def sums_of(profile: ReferenceProfile, scores: Any, predicted: Any) -> EstimateSums:
    assert profile.calibration is not None
    sums = EstimateSums(2, is_binary=True)
    for score, place in zip(np.asarray(scores).tolist(), np.asarray(predicted).astype(int).tolist(), strict=True):
        chances = profile.calibration.chances(score, None)
        assert chances is not None
        sums.add_binary(place, min(int(score * 50), 49), chances[1])
    return sums


@pytest.mark.parametrize("shape", SHAPES)
def test_the_estimate_of_a_census_year_is_that_of_an_exact_isotonic_calibration(shape: str) -> None:
    """Accuracy and F1 are within 0.001 of those of scores calibrated one by one, the AUC within its bound.

    The figures that labels show are within the interval of the estimate.
    """
    train, replay, profile = census(SHAPES[shape])
    assert profile.calibration is not None
    assert bool(profile.calibration.shares[0]) == (shape != "as they are")
    exact = IsotonicRegression(out_of_bounds="clip").fit(train["p"], train["employed"])
    for _, year in replay.groupby("year"):
        scores, predicted, actual = (year[name].to_numpy() for name in ("p", "prediction", "employed"))
        sums = sums_of(profile, scores, predicted)
        found = sums.figures(len(train))
        chance = exact.predict(scores)
        right = np.where(predicted == 1, chance, 1 - chance)
        f1 = 2 * chance[predicted == 1].sum() / (predicted.sum() + chance.sum())
        assert found["accuracy"].value == pytest.approx(right.mean(), abs=1e-3)
        assert found["f1"].value == pytest.approx(f1, abs=1e-3)
        weights = np.concatenate([chance, 1 - chance])
        area = roc_auc_score([1] * len(year) + [0] * len(year), np.tile(scores, 2), sample_weight=weights)
        assert abs(found["auc"].value - area) < (sums.auc_bound() or 0.0)
        realised = {"accuracy": np.mean(predicted == actual), "f1": f1_score(actual, predicted)}
        realised["auc"] = roc_auc_score(actual, scores)
        for name, value in realised.items():
            low, high = found[name].interval
            assert low < value < high, (shape, name)


def test_labels_contradict_the_estimate_when_the_world_changes() -> None:
    """From the known change in fifty years of weather on, the estimate stays high, and its gap is far beyond chance."""
    data = pd.read_parquet(RAIN)
    dew_point = data.pop("dew point")
    moist = (dew_point > dew_point[:2_000].median()).astype(int).to_numpy()
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(data[:2_000], moist[:2_000])
    scores = model.predict_proba(data)[:, 1]
    profile = ReferenceProfile.fit({"p": scores[2_000:6_000], "y": moist[2_000:6_000]}, score="p", label="y")
    assert profile.calibration is not None
    for start in range(6_000, 14_000, 1_000):
        window = slice(start, start + 1_000)
        predicted = scores[window] > 0.5
        right = {"accuracy": float(np.mean(predicted == moist[window])), "f1": f1_score(moist[window], predicted)}
        sums = sums_of(profile, scores[window], predicted)
        gaps = estimate_gaps(sums, right, profile.calibration.rows)
        wrong = {name for name, (gap, z) in gaps.items() if abs(gap) > 0.05 and z is not None and abs(z) > 3.66}
        assert wrong == (set() if start < 12_000 else {"accuracy", "f1"}), start
        assert sums.figures(4_000)["accuracy"].value > 0.9


def test_a_store_gives_the_estimate_of_a_window(
    kit: InMemoryTelemetry,  # noqa: ARG001
    truth: GroundTruth,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`estimate_metrics` has the figures of all predictions, and the gap of those with labels; the command prints it."""
    _, replay, profile = census(1.5)
    year = replay[replay["year"] == 2016][:400]
    model = Model("jobs", task="binary", profile=profile, ground_truth=truth, batch=True)
    model.record(None, prediction=year["prediction"].to_numpy(), score=year["p"].to_numpy(), id="census")
    assert truth.flush()
    truth.record_labels((f"census.{at}", int(label)) for at, label in enumerate(year["employed"][:300]))
    now = time.time()
    found = truth.estimate_metrics(now - 600, now + 600, model="jobs")
    assert profile.calibration is not None
    sums = sums_of(profile, year["p"], year["prediction"])
    expected = sums.figures(profile.calibration.rows)
    assert {name: found[name] for name in expected} == pytest.approx(
        {name: each.value for name, each in expected.items()}
    )
    assert found["intervals"]["f1"] == pytest.approx(list(expected["f1"].interval or ()))
    assert (found["estimated"], found["labelled"], found["auc_bound"]) == (400, 300, pytest.approx(sums.auc_bound()))
    labelled = year[:300]
    right = float(np.mean(labelled["prediction"] == labelled["employed"]))
    expected_of_labelled = sums_of(profile, labelled["p"], labelled["prediction"]).figures(6_000)["accuracy"].value
    assert found["gaps"]["accuracy"]["gap"] == pytest.approx(expected_of_labelled - right)

    command = ["evaluate", "--store", str(truth._arguments[0]), "--model", "jobs", "--estimate"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "an estimate: it holds as long as a score means what it did in training" in printed.err
    assert "estimated - labels" in printed.out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["estimated"] == 400
    assert main([*command, "--by", "region"]) == 2
    capsys.readouterr()
    assert main(["evaluate", "--store", command[2], "--model", "other", "--estimate"]) == 1
    assert "no prediction of 'other' in this window" in capsys.readouterr().err
