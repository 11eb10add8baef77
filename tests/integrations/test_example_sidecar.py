from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "import sys; from otel_ml.cli import main; sys.exit(main())", "sampler"]


@pytest.fixture
def environment(receiver, tmp_path):
    """A clean environment whose telemetry goes to the receiver."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "COV_"))}
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_ML_INSTANCE_DIR": str(tmp_path)}
    return {**clean, **settings, "PYTHONPATH": str(REPOSITORY)}


def test_the_sidecar_reads_the_service_and_both_exit_cleanly(receiver, environment):
    """One service name, two instances: predictions from one, its process figures from the other."""
    command = [
        sys.executable,
        str(REPOSITORY / "examples" / "sidecar" / "main.py"),
        "--seconds",
        "3",
        "--interval",
        "1",
    ]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "exit status of sampler and service: [0, 0]" in finished.stdout

    sent = int(finished.stdout.splitlines()[-1].split()[0])
    metrics = receiver.metrics()
    assert sum(point.as_int or point.as_double for point in metrics["ml.predictions"]) == sent
    assert metrics["process.memory.usage"][0].as_int > 10_000_000
    assert not receiver.metric("process.memory.usage")[0].sum.is_monotonic
    assert receiver.metric("process.cpu.time")[0].sum.is_monotonic
    assert "system.memory.usage" not in metrics
    (_, predictions), (_, processes) = receiver.metric("ml.predictions"), receiver.metric("process.memory.usage")
    assert {resource["service.name"] for resource in [*predictions, *processes]} == {"churn-api"}
    assert not (
        {resource["service.instance.id"] for resource in predictions}
        & {resource["service.instance.id"] for resource in processes}
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sampler_flushes_and_ends_with_0_on_a_signal(receiver, environment, number):
    """The last readings arrive long before the export interval is over."""
    options = ["--interval", "0.2", "--service-name", "node-a", "--endpoint", receiver.url]
    environment["OTEL_METRIC_EXPORT_INTERVAL"] = "3600000"
    process = subprocess.Popen([*COMMAND, *options], env=environment, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    process.send_signal(number)
    _, rest = process.communicate(timeout=240)
    assert line == f"otel-ml sampler: node mode, every 0.2 s, to {receiver.url}/v1/metrics; Ctrl-C ends it\n"
    printed = [line for line in rest.splitlines() if "NVIDIA driver" not in line]
    assert (process.returncode, printed) == (0, [])
    assert {"system.cpu.time", "system.memory.usage", "process.cpu.time"} <= set(receiver.metrics())
    assert {resource["service.name"] for resource in receiver.metric("system.cpu.time")[1]} == {"node-a"}
