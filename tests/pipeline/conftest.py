"""Real servers for the pipeline tests; missing ones are built first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
sys.path[:0] = [str(DEPLOY / "local"), str(DEPLOY / "compose"), str(DEPLOY.parent / "tests" / "data" / "nvml")]

import built_servers  # noqa: E402  (found by the line above)
from pipeline_servers import (  # noqa: E402
    LOCAL,
    TIMEOUT,
    Backend,
    Collector,
    Stack,
    collector_environment,
    otlp_backend,
    running_collector,
)


@pytest.fixture
def backend() -> Iterator[Backend]:
    """One recording back end in place of all three."""
    with otlp_backend() as recording:
        yield recording


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector's binary."""
    return built_servers.binary("collector")


@pytest.fixture
def collector(otelcol: Path, backend: Backend, tmp_path: Path) -> Iterator[Collector]:
    """A Collector with the agent's configuration in front of the recording back end."""
    environment = collector_environment(backend.address, tmp_path)
    with running_collector(otelcol, environment, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector, Prometheus, VictoriaLogs and Jaeger as `stack.py` runs them, on free ports."""
    folder = tmp_path_factory.mktemp("stack")
    servers = ["collector", "prometheus", "victoria-logs", "jaeger"]
    for name in servers:
        built_servers.binary(name)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("STACK_", "OTEL_"))}
    environment |= {"STACK_DIR": str(folder), "OTELCOL_SELF_INTERVAL_MS": "1000", "PYTHONWARNINGS": ""}
    command = [sys.executable, str(LOCAL / "stack.py"), "--ports", "auto", *servers]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = {}
        for line in process.stdout:
            found = re.fullmatch(r"stack: (\S+) +(\S+)(  .*)?\n", line)
            if found and found[1] in (*servers, "log") and "is healthy" not in line:
                addresses[found[1]] = found[2]
            if "log" in addresses:
                break
        try:
            if set(addresses) != {*servers, "log"}:
                log = folder / "stack.log"
                pytest.fail(f"the stack did not start: {log.read_text() if log.exists() else addresses}")
            yield Stack(addresses, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            status = process.wait(TIMEOUT)
    assert status == 0
