"""A real Alertmanager for the tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import built_servers
from pipeline_servers import TIMEOUT, eventually, free_ports, get, post


@contextmanager
def running_alertmanager(config: Path, folder: Path) -> Iterator[str]:
    """Runs Alertmanager with a configuration; gives its address."""
    (port,) = free_ports(1)
    command = [str(built_servers.binary("alertmanager")), "--config.file", str(config), "--cluster.listen-address", ""]
    command += ["--storage.path", str(folder / "data"), "--web.listen-address", f"127.0.0.1:{port}"]
    with (folder / "alertmanager.log").open("wb") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready") == 200)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def send(address: str, *alerts: dict[str, Any]) -> None:
    """Sends alerts as Prometheus does."""
    assert post(f"{address}/api/v2/alerts", json.dumps(alerts).encode(), "application/json") == 200
