"""Certain predictions whose probability is a little more than 1: rounding must not take them out of the figures.

Sources: facebookresearch/fastText#718 (binary scores such as 1.00000978), uxlfoundation/scikit-learn-intelex#3401 (probabilities
of a random forest that sum to 1.005, which scikit-learn's AUC refuses).
"""

from __future__ import annotations

import time
from typing import Any

import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


def sums(telemetry: InMemoryTelemetry, metric: str, *names: str) -> dict[tuple[Any, ...], float]:
    points = telemetry.metrics().get(metric, [])
    return {tuple(point["attributes"][name] for name in names): point["value"] for point in points if point["value"]}


def test_the_most_certain_predictions_are_counted(telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """Scores beyond 0 and 1 by rounding are in the first and the last bin, and in every mean."""
    model = otel_ml.Model("spam", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    scores = (1.00000536, 1.00000978, -1e-7, 0.5)
    for number, score in enumerate(scores):
        model.record({}, prediction=int(score > 0.4), score=score, id=f"p{number}")
    truth.flush()
    truth.record_labels({"p0": 1, "p1": 0, "p2": 0, "p3": 1})

    names = ("ml.eval.is_actual", "ml.eval.bin")
    assert sums(telemetry, "ml.eval.predictions") == {(): 4}
    assert sums(telemetry, "ml.eval.score_bin", *names) == {
        ("true", "49"): 1,
        ("false", "49"): 1,
        ("false", "00"): 1,
        ("true", "25"): 1,
    }
    assert sums(telemetry, "ml.eval.brier_score")[()] == pytest.approx(1.25, abs=1e-4)
    assert min(sums(telemetry, "ml.eval.score_sum", "ml.eval.bin").values()) > 0


def test_shares_that_nearly_sum_to_1(telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """A forest in single precision: the sum is off by half a percent."""
    made = otel_ml.ground_truth.LoggedPrediction(
        "p", "kind", "1", "primary", "multiclass", None, time.time(), "a", None, None, 0, 0, False, ("a", "b", "c")
    )
    truth.log_prediction(made._replace(probabilities=(0.7, 0.2, 0.105)))
    truth.log_prediction(made._replace(id="q", probabilities=(1.00000978, 0.0, 0.0)))
    truth.flush()
    truth.record_labels({"p": "a", "q": "a"})

    assert sums(telemetry, "ml.eval.predictions") == {(): 2}
    assert sums(telemetry, "ml.eval.score_bin", "ml.eval.class", "ml.eval.bin")["a", "49"] == 1
