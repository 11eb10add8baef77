"""A running service behind the real Collector and Prometheus: a column that goes away fires its alert.

Sources: yakew7/Fair-Code#461, evidentlyai/evidently#1480.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from pipeline_servers import ROOT, collector_environment, eventually, prometheus, promql, running_collector

RULES = ROOT / "deploy" / "prometheus"
PROGRAM = """
import sys, threading
import numpy as np, pandas as pd
import otel_ml

def draw(seed, rows):
    rng = np.random.default_rng(seed)
    country = pd.Series(rng.choice(["at", "be", "ch"], rows), dtype=object)
    return pd.DataFrame({"income": rng.normal(size=rows), "age": rng.normal(40, 12, rows), "country": country})

CHANGES = {
    "as in training": lambda frame: frame,
    "dropped": lambda frame: frame.drop(columns="income"),
    "renamed": lambda frame: frame.rename(columns={"income": "salary"}),
    "nulled": lambda frame: frame.assign(income=np.nan),
    "text": lambda frame: frame.assign(income=[f"EUR {value:,.2f}" for value in frame["income"]]),
    "another spelling": lambda frame: frame.assign(country=frame["country"].str.upper()),
    "another unit": lambda frame: frame.assign(age=frame["age"] * 12),
}
otel_ml.configure(service_name="api")
profile = otel_ml.ReferenceProfile.fit(draw(1, 10_000)).with_window("may", draw(3, 5_000))
rows = draw(2, 500)
models = {name: otel_ml.Model(name, "1", profile=profile) for name in CHANGES}
changed, ended = threading.Event(), threading.Event()

def listen():
    for line in sys.stdin:
        changed.set()
    ended.set()

threading.Thread(target=listen, daemon=True).start()
while not ended.wait(0.2):
    for name, change in CHANGES.items():
        frame = change(rows) if changed.is_set() else rows
        models[name].record(frame, prediction=np.ones(len(frame)), batch=True)
"""
ALERTS = {
    ("FeatureMissing", "dropped", "income"),
    ("FeatureMissing", "renamed", "income"),
    ("FeatureMissing", "nulled", "income"),
    ("FeatureInvalid", "text", "income"),
    ("FeatureUnseen", "another spelling", "country"),
    ("FeatureDrift", "another spelling", "country"),
    ("FeatureOutOfRange", "another unit", "age"),
    ("FeatureDrift", "another unit", "age"),
}


def in_a_hurry(folder: Path) -> Path:
    """Copies configuration and rules; every second is an evaluation, and an alert fires after two."""
    for name in ("rules", "alerts"):
        (folder / name).mkdir()
        for file in (RULES / name).glob("*.yaml"):
            content = yaml.safe_load(file.read_text())
            for group in content["groups"]:
                group["interval"] = "1s"
                for rule in group["rules"]:
                    rule |= {"for": "2s"} if "alert" in rule else {}
            (folder / name / file.name).write_text(yaml.safe_dump(content))
    config = folder / "prometheus.yml"
    config.write_text((RULES / "prometheus.yml").read_text())
    return config


@contextmanager
def service(endpoint: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Predicts with seven models, a few times a second, until its input ends."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_ML_INSTANCE_DIR": str(folder / "slots"),
    }
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.communicate(timeout=60)
    assert process.returncode == 0


def firing(address: str) -> set[tuple[str, str, str]]:
    found = promql(address, 'ALERTS{alertname=~"Feature.*", alertstate="firing"}')
    labels = [series["metric"] for series in found]
    return {(each["alertname"], each["ml_model_name"], each.get("ml_feature_name", "")) for each in labels}


def test_a_column_that_changes_in_a_running_service_fires_its_alert(otelcol: Path, tmp_path: Path) -> None:
    """Nothing fires while the rows are those of training and of the saved window; then each change fires its alert, and
    no other alert fires."""
    with prometheus(tmp_path, in_a_hurry(tmp_path)) as address:
        environment = collector_environment("http://127.0.0.1:9", tmp_path)
        environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{address}/api/v1/otlp"
        with (
            running_collector(otelcol, environment, tmp_path) as collector,
            service(f"{collector.address}/v1/metrics", tmp_path) as process,
        ):
            eventually(lambda: promql(address, "count(feature:ml_feature_psi:current) == 21"))
            assert firing(address) == set()
            for reference in ("training", "may"):
                found = f'count(feature:ml_feature_reference_psi:1h{{ml_reference="{reference}"}} < 0.2) == 21'
                eventually(lambda expr=found: promql(address, expr))

            assert process.stdin is not None
            process.stdin.write("change\n")
            process.stdin.flush()
            eventually(lambda: firing(address) == ALERTS)
            assert promql(address, 'ALERTS{ml_model_name="as in training", alertname=~"Feature.*"}') == []
