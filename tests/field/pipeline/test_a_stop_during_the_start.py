"""What a Collector does when it is stopped before its start is over."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from pipeline_servers import ROOT, TIMEOUT, collector_environment


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_start_is_a_stop(otelcol: Path, tmp_path: Path, how: signal.Signals) -> None:
    """signalfx/splunk-otel-collector#8028: a signal that comes before the Collector is ready stops it in order, with status 0."""
    command = [str(otelcol), "--config", str(ROOT / "collector" / "agent.yaml")]
    environment = collector_environment("http://127.0.0.1:9", tmp_path)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if b"Starting " in line)
        process.send_signal(how)
        rest = process.stdout.read()
        assert (process.wait(TIMEOUT), b"Shutdown complete" in rest) == (0, True)
