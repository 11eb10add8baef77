"""Each row of the README's table for people who come from the course recipe works."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from reserved_ports import free_port

import otel_ml
from otel_ml.testing import InMemoryTelemetry

DEPLOY = Path(__file__).parents[2] / "deploy"
CLASSIC_ALERTS = {"HighPredictionLatency", "PredictionErrorRate", "ModelNotServing", "PredictionDistributionShift"}
CLASSIC_PANELS = ["Predictions per Second", "Prediction Latency (p95)", "Prediction Distribution", "Error Rate"]


def test_the_decorator_counts_failures_batches_and_coroutines(telemetry: InMemoryTelemetry) -> None:
    """`track_prediction` gives the four classic metrics, and counts failed, asynchronous and batch calls too."""

    @otel_ml.track_prediction("fraud_detector", "1.0.0", task="binary")
    def predict(features: dict[str, Any]) -> dict[str, Any]:
        return {"prediction": 1, "probability": 1 / features["amount"]}

    @otel_ml.track_prediction("fraud_detector", "1.0.0", task="binary")
    async def predict_many(features: list[dict[str, Any]]) -> list[int]:
        return [0 for _ in features]

    predict({"amount": 2})
    with pytest.raises(ZeroDivisionError):
        predict({"amount": 0})
    asyncio.run(predict_many([{"amount": 1}, {"amount": 2}, {"amount": 3}]))
    metrics = telemetry.metrics()

    assert {p["attributes"]["ml.prediction.class"]: p["value"] for p in metrics["ml.predictions"]} == {"1": 1, "0": 3}
    assert sum(p["count"] for p in metrics["ml.prediction.duration"]) == 3
    assert [p["count"] for p in metrics["ml.prediction.score"]] == [1]
    assert {p["attributes"].get("error.type"): p["value"] for p in metrics["ml.prediction.errors"]} == {
        None: 0,
        "ZeroDivisionError": 1,
    }


def test_the_model_load_timestamp(telemetry: InMemoryTelemetry) -> None:
    """`load()` records when the serving model was loaded."""
    model = otel_ml.Model("fraud_detector", "1.0.0")
    with model.load():
        before = datetime.now(timezone.utc).timestamp()

    assert telemetry.metrics()["ml.model.load.timestamp"][0]["value"] == pytest.approx(before, abs=5)


def test_the_logger_became_an_event_on_the_trace(telemetry: InMemoryTelemetry) -> None:
    """`record` and `record_error` replace `log_prediction` and `log_error`: linked to the trace, without sensitive columns."""
    frame = {"amount": [float(index % 60) for index in range(300)], "card": ["a", "b", "c"] * 100}
    profile = otel_ml.ReferenceProfile.fit(frame, categorical=("card",), sensitive=("card",))
    model = otel_ml.Model("fraud_detector", "1.0.0", profile=profile)
    model.record({"amount": 12.0, "card": "secret"}, prediction=1, score=0.9, duration=0.1, id="p-1")
    model.record_error(ValueError("card secret refused"), {"amount": 1.0, "card": "secret"})
    events = telemetry.events("ml.prediction")
    traces = {span["trace_id"] for span in telemetry.spans()}

    assert json.loads(events[0]["body"]) == {"features": {"amount": 12.0}, "prediction": "1", "score": 0.9}
    assert [event["severity"] for event in events] == ["INFO", "ERROR"]
    assert {event["trace_id"] for event in events} == traces
    assert "secret" not in json.dumps([telemetry.spans(), telemetry.logs(), telemetry.metrics()])


def test_the_four_classic_alerts_keep_their_names() -> None:
    """The four alerts are shipped under their old names; promtool tests them in tests/pipeline."""
    groups = [yaml.safe_load(path.read_text())["groups"] for path in (DEPLOY / "prometheus" / "alerts").glob("*.yaml")]
    names = {rule["alert"] for groups_of_file in groups for group in groups_of_file for rule in group["rules"]}

    assert CLASSIC_ALERTS - names == set()


def test_the_four_classic_panels_are_the_first_row() -> None:
    """The *Model* dashboard starts with the four panels, in the old order."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "model.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    first = sorted(panels, key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))[:4]

    assert [panel["title"] for panel in first] == CLASSIC_PANELS


def test_ground_truth_comes_back_once_and_becomes_metrics(telemetry: InMemoryTelemetry, tmp_path: Path) -> None:
    """Labels join by prediction id, a repeated label counts once, and store and counters both have the performance."""
    truth = otel_ml.GroundTruth(f"sqlite:///{tmp_path / 'predictions.db'}")
    model = otel_ml.Model("fraud_detector", "1.0.0", task="binary", classes=["0", "1"], ground_truth=truth)
    ids = [model.record(prediction=predicted, score=score).id for predicted, score in ((1, 0.9), (0, 0.2), (1, 0.6))]
    telemetry.flush()
    truth.flush(10)
    for prediction_id, label in zip([*ids, ids[0]], [1, 0, 0, 1], strict=True):
        truth.record_label(prediction_id, label)
    computed = truth.compute_metrics(0, 4_102_444_800, model="fraud_detector")
    outcomes = {
        (p["attributes"]["ml.eval.predicted"], p["attributes"]["ml.eval.actual"]): p["value"]
        for p in telemetry.metrics()["ml.eval.outcomes"]
    }
    truth.close()

    assert {key: computed[key] for key in ("count", "accuracy", "precision", "recall", "f1", "auc")} == {
        "count": 3,
        "accuracy": pytest.approx(2 / 3),
        "precision": pytest.approx(1 / 2),
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "auc": 1.0,
    }
    assert {key: value for key, value in outcomes.items() if value} == {("1", "1"): 1, ("0", "0"): 1, ("1", "0"): 1}
    assert [event["trace_id"] for event in telemetry.events("ml.label")] == [
        span["trace_id"] for span in telemetry.spans()
    ]


def test_the_scrape_page_has_the_same_names() -> None:
    """With a port set, Prometheus can scrape as before, under the same names as by push."""
    port = free_port()
    with InMemoryTelemetry(prometheus_port=port):
        otel_ml.Model("fraud_detector", "1.0.0").record(prediction="x", score=0.5, duration=0.1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            page = answer.read().decode()

    wanted = ("ml_predictions_total", "ml_prediction_duration_seconds_bucket", "ml_prediction_score_bucket")
    assert [name for name in wanted if f"\n{name}{{" not in page] == []


def test_compose_has_no_default_password() -> None:
    """The compose deployment has no default password: Grafana reads a generated one from a file."""
    compose = (DEPLOY / "compose" / "compose.yaml").read_text()

    assert "admin:admin" not in compose
    assert "GF_SECURITY_ADMIN_PASSWORD: admin" not in compose
    assert "GF_SECURITY_ADMIN_PASSWORD__FILE" in compose


def test_quality_and_resources_are_part_of_it(telemetry: InMemoryTelemetry) -> None:
    """Drift counts and resource figures come with the library: no other tool is needed."""
    profile = otel_ml.ReferenceProfile.fit({"amount": [float(index % 60) for index in range(300)]})
    otel_ml.Model("fraud_detector", "1.0.0", profile=profile).record({"amount": 5.0}, prediction="x")
    with otel_ml.ResourceSampler(interval=60.0) as sampler:
        deadline = time.monotonic() + 60.0
        while not sampler.observations("process.memory.usage") and time.monotonic() < deadline:
            time.sleep(0.01)
        metrics = telemetry.metrics()

    assert sum(p["value"] for p in metrics["ml.feature.values"] if p["attributes"]["ml.feature.name"] == "amount") == 1
    assert metrics["process.memory.usage"][0]["value"] > 1_000_000
