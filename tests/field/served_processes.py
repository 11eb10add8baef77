"""A service of a test under a real server, in this environment or in one with other versions, made once in the cache."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from built_servers import untimed
from reserved_ports import free_port


def make_python(name: str, *packages: str) -> str:
    """The interpreter of an environment with these packages before those of this one; skips the test if it cannot be made."""
    folder = Path(os.environ.get("OTEL_ML_CACHE") or Path.home() / ".cache" / "otel-ml") / name
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        with untimed():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            made = subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=False)
        if made.returncode != 0:
            pytest.skip(f"{' '.join(packages)} cannot be installed here")
        (folder / "complete").touch()
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "ours.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n{Path(__file__).parents[2]}\n")
    return str(python)


class Served:
    """A running server."""

    def __init__(self, command: list[str], variables: dict[str, str], folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self._log = folder / "server.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, env=variables, cwd=folder, stdout=log, stderr=log)

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end and self.process.poll() is None:
            try:
                httpx.get(f"{self.url}/healthz", trust_env=False)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"the server did not start:\n{self.output}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


@contextmanager
def served(
    program: str, server: str, folder: Path, *, python: str = sys.executable, **variables: str
) -> Iterator[Served]:
    """Writes `app.py`, and serves it by a command in which `{port}` is replaced."""
    (folder / "app.py").write_text(program)
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "COV_"))}
    own = {"OTEL_ML_INSTANCE_DIR": str(folder / "slots"), "PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
    command = [python, "-m", *server.format(port=port).split()]
    running = Served(command, {**kept, **own, **variables}, folder, port)
    try:
        running.wait_until_ready()
        yield running
        running.stop()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def wait_until(condition: Callable[[], Any]) -> None:
    """Waits for a condition with a generous limit."""
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
