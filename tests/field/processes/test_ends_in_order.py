"""A process says in its last export that it shuts down cleanly, so that alerts about missing processes are about those that were cut off.

Sources: open-telemetry/opentelemetry-specification#1078 (pushed metrics have no `up`), grafana/alloy#3535 and
open-telemetry/opentelemetry-collector-contrib#27893 (a series looks alive for 5 minutes after its process has ended or crashed).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import otlp_receiver
import pytest
from otlp_receiver import Receiver

receiver = otlp_receiver.receiver
OWN = """
import sys
import otel_ml
telemetry = otel_ml.configure(service_name="s", flush_on_sigterm=True, metric_export_interval=600.0)
model = otel_ml.Model("fraud", "1")
telemetry.force_flush()
sys.stdin.readline()
"""
GUEST = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
import otel_ml
exporter = ConsoleMetricExporter(formatter=lambda data: data.to_json(indent=None) + chr(10))
provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=600_000)])
metrics.set_meter_provider(provider)
otel_ml.configure(service_name="s")
model = otel_ml.Model("fraud", "1")
provider.force_flush()
"""


def start(program: str, **more: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.Popen(
        [sys.executable, "-c", program], env={**kept, **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize(("end", "last"), [("exit", 0), (signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_the_last_export_says_whether_a_process_ended_in_order(
    receiver: Receiver, tmp_path: Path, end: signal.Signals | str, last: int
) -> None:
    """`ml.model.processes` is 1 from the start, and 0 in the last export unless the process was killed."""

    def held() -> list[int]:
        return [point.as_int for point in receiver.metrics().get("ml.model.processes", ())]

    process = start(OWN, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_ML_INSTANCE_DIR=str(tmp_path / "slots"))
    try:
        receiver.wait_for(lambda _: held()[:1] == [1])
    finally:
        if isinstance(end, signal.Signals):
            process.send_signal(end)
        process.communicate(b"\n", timeout=60)

    assert held()[-1] == last


def test_a_guest_says_it_at_the_exit_of_its_sdk() -> None:
    """In guest mode a model is alive before its first call, and the SDK's last export says that the process shuts down cleanly."""
    output, _ = start(GUEST).communicate(timeout=60)

    exports = [
        {
            metric["name"]: [point["value"] for point in metric["data"]["data_points"]]
            for resource in json.loads(line)["resource_metrics"]
            for scope in resource["scope_metrics"]
            for metric in scope["metrics"]
        }
        for line in output.splitlines()
    ]
    found = [(each["ml.prediction.active"], each["ml.model.processes"]) for each in exports]
    assert (found[0], found[-1]) == (([0], [1]), ([0], [0]))
