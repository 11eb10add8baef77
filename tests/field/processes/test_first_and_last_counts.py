"""A process sends its counts soon after its first predictions, and they are a rise wherever they are stored.

Sources: open-telemetry/opentelemetry-python#4215 (an end without shutdown costs the metrics), #2765 (metrics of a
short program), prometheus/prometheus#3886 and grafana/tempo#2006 (`increase` of a series that begins above
zero).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import otlp_receiver
import pytest
from otlp_receiver import Receiver

receiver = otlp_receiver.receiver
CONFIGURE = """
import os, sys, time
import otel_ml
telemetry = otel_ml.configure(service_name="short", metric_export_interval=600.0)
model = otel_ml.Model("fraud", "1", task="binary", classes=[0, 1])

@model.track
def predict(features):
    if features["a"] < 0:
        raise ValueError
    return {"prediction": features.get("class", 1), "probability": 0.9}
"""


def start(receiver: Receiver, folder: Path, program: str, **more: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_ML_INSTANCE_DIR": str(folder / "slots")}
    command = [sys.executable, "-c", CONFIGURE + program]
    return subprocess.Popen(command, env={**kept, **own, **more}, stdin=subprocess.PIPE)


def predictions(receiver: Receiver) -> int:
    """What the last export of `ml.predictions` says."""
    last: dict[str, int] = {}
    for point in receiver.metrics().get("ml.predictions", ()):
        last[str(point.attributes)] = point.as_int
    return sum(last.values())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, "os._exit"])
def test_counts_leave_soon_after_the_predictions(receiver: Receiver, tmp_path: Path, how: signal.Signals | str) -> None:
    """opentelemetry-python#4215: after a short rest no kind of end costs a count, whatever the export interval."""
    program = "for number in range(50): predict({'a': number})\nsys.stdin.read()\nos._exit(0)"
    process = start(receiver, tmp_path, program)
    try:
        receiver.wait_for(lambda _: predictions(receiver) == 50)
    finally:
        if isinstance(how, signal.Signals):
            process.send_signal(how)
        process.communicate(timeout=60)

    assert predictions(receiver) == 50


def rises(receiver: Receiver) -> dict[str, float]:
    """The increase of each series of the predictions, by Prometheus' rule: between samples in order of time, a lower one is a reset."""
    samples: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for request in receiver.metric_requests():
        for resource in request.resource_metrics:
            instance = next(
                one.value.string_value for one in resource.resource.attributes if one.key == "service.instance.id"
            )
            every = [metric for scope in resource.scope_metrics for metric in scope.metrics]
            for metric in [metric for metric in every if metric.name.startswith("ml.prediction")]:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    named = {one.key: one.value.string_value for one in point.attributes}
                    extra = named.get("ml.prediction.class") or named.get("error.type") or ""
                    value = point.count if kind == "histogram" else point.as_int
                    samples[instance, f"{metric.name} {extra}".strip()].append((point.time_unix_nano, value))
    total: dict[str, float] = defaultdict(float)
    for (_, series), points in samples.items():
        assert len({time // 10**6 for time, _ in points}) == len(points), "two samples in one millisecond"
        assert points == sorted(points), "a sample out of order"
        for (_, before), (_, after) in zip(points, points[1:], strict=False):
            total[series] += after if after < before else after - before
    return dict(total)


def test_short_processes_are_a_rise_each(receiver: Receiver, tmp_path: Path) -> None:
    """prometheus/prometheus#3886: three processes with one instance id and one prediction each are an increase of 3."""
    for _ in range(3):
        program = """
predict({"a": 1})
predict({"a": 1, "class": "undeclared"})
try:
    predict({"a": -1})
except ValueError:
    pass
"""
        process = start(receiver, tmp_path, program)
        process.communicate(timeout=60)
        assert process.returncode == 0

    found = rises(receiver)

    assert len(receiver.instances()) == 1
    assert found == {
        "ml.predictions 1": 3,
        "ml.predictions __other__": 3,
        "ml.predictions 0": 0,
        "ml.prediction.duration": 6,
        "ml.prediction.duration ValueError": 3,
        "ml.prediction.errors": 0,
        "ml.prediction.errors ValueError": 3,
        "ml.prediction.score": 6,
        "ml.prediction.active": 0,
    }
