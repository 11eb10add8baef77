"""Who exports the counts: one set for all stores of a process, whatever provider is in force."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from truth_rows import LOGGED

from otel_ml.ground_truth import GroundTruth
from otel_ml.testing import InMemoryTelemetry

ROOT = Path(__file__).parents[4]
LATE_PROVIDER = """
import json, sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_ml.ground_truth import GroundTruth
truth = GroundTruth(sys.argv[1])
truth.record_label("early", 1)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader], shutdown_on_exit=False))
truth.record_label("late", 1)
found = [
    (metric.name, point.value)
    for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics
    for metric in scope.metrics
    for point in metric.data.data_points
]
truth.close()
print(json.dumps(found))
"""


@pytest.mark.parametrize("mode", ["own", "guest"])
def test_two_stores_have_one_set_of_series(tmp_path, mode):
    """A back end would keep only one of two equal series."""
    with InMemoryTelemetry(mode) as kit:
        for name in "ab":
            truth = GroundTruth(f"sqlite:///{tmp_path}/{name}.db")
            truth.log_prediction(LOGGED._replace(id="p"))
            truth.flush()
            truth.record_label("p", 1)
            truth.close()
        points = kit.metrics()["ml.eval.outcomes"]

    assert sorted(point["value"] for point in points) == [0, 0, 0, 2]


def test_a_provider_that_comes_late_has_one_set_of_series(tmp_path):
    """What is counted once it is there is exported; the labels before it went nowhere."""
    program = [sys.executable, "-W", "error", "-c", LATE_PROVIDER, f"sqlite:///{tmp_path}/predictions.db"]
    done = subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=60)

    assert json.loads(done.stdout) == [["ml.eval.labels", 1]]
