"""What short processes count, in a real Prometheus: its own OTLP receiver with the defaults, and behind our Collector.

Source: prometheus/prometheus#3886, `increase` of a series that begins above zero.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

from pipeline_servers import collector_environment, eventually, prometheus, promql, running_collector, write_settings

PROGRAM = """
import sys
import uuid
import otel_ml
otel_ml.configure(service_name="short")
truth = otel_ml.GroundTruth(sys.argv[1])
keys = {"ground_truth": truth, "id": lambda features: features["id"]}
fraud = otel_ml.Model("fraud", "1", task="binary", classes=[0, 1], **keys)
price = otel_ml.Model("price", "1", task="regression", **keys)
name = str(uuid.uuid4())
fraud.track(lambda features: {"prediction": 1, "probability": 0.9})({"id": name})
price.track(lambda features: 3.0)({"id": name})
truth.flush()
truth.record_label(name, 1, model="fraud")
truth.record_label(name, 1, model="price")
"""
RISES = [
    'ml_predictions_total{ml_prediction_class="1"}',
    'ml_prediction_duration_seconds_count{ml_model_name="fraud"}',
    'ml_prediction_score_bucket{le="+Inf"}',
    'ml_eval_outcomes_total{ml_eval_actual="1",ml_eval_predicted="1"}',
    'ml_eval_score_bin_total{ml_eval_bin="45",ml_eval_is_actual="true"}',
    'ml_eval_error_bin_total{ml_eval_bin="+Inf"}',
    'ml_eval_error_bin_total{ml_eval_bin="1.99526"}',
]


def total(address: str, expression: str) -> float:
    result = promql(address, expression)
    return float(result[0]["value"][1]) if result else 0.0


def run_three_times(endpoint: str, folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    own = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_ML_INSTANCE_DIR": str(folder / "slots"),
    }
    for _ in range(3):
        program = [sys.executable, "-c", PROGRAM, f"sqlite:///{folder}/predictions.db"]
        subprocess.run(program, env={**kept, **own}, check=True, timeout=60)


def increases(address: str) -> list[int]:
    """The increase of each series, rounded down: Prometheus extrapolates from the last sample towards the present."""
    return [math.floor(total(address, f"sum(increase({series}[10m]))")) for series in RISES]


def test_three_short_processes_are_an_increase_of_three(tmp_path: Path) -> None:
    """Prometheus without any option sees the counts of each, although all of them are one series."""
    config = tmp_path / "prometheus.yml"
    config.write_text("{}\n")
    with prometheus(tmp_path, config) as address:
        run_three_times(f"{address}/api/v1/otlp/v1/metrics", tmp_path)

        assert increases(address) == [3, 3, 3, 3, 3, 3, 0]
        assert promql(address, f"increase({RISES[-1]}[10m])"), "0 is a value, or rules would leave it out"
        assert total(address, f"count({RISES[0]})") == 1


def test_three_short_processes_behind_the_collector(otelcol: Path, tmp_path: Path) -> None:
    """The Collector's batches keep the order of the points."""
    with prometheus(tmp_path, write_settings(tmp_path)) as address:
        environment = collector_environment("http://127.0.0.1:9", tmp_path)
        environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{address}/api/v1/otlp"
        with running_collector(otelcol, environment, tmp_path) as collector:
            run_three_times(f"{collector.address}/v1/metrics", tmp_path)
            eventually(lambda: total(address, f"sum(resets({RISES[0]}[10m]))") == 2)

            assert increases(address) == [3, 3, 3, 3, 3, 3, 0]
            assert promql(address, f"increase({RISES[-1]}[10m])"), "0 is a value, or rules would leave it out"
            assert total(address, f"count({RISES[0]})") == 1
