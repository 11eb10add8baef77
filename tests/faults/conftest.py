"""A service with a real engine and a real receiver, programs in processes of their own, and figures for the table."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import otlp_receiver
import psutil
import pytest
import reserved_ports
from otlp_receiver import Receiver

import otel_ml
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry import configure
from otel_ml._telemetry.engine import OwnEngine
from otel_ml.config import Config

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[1]
receiver = otlp_receiver.receiver
fresh_guard = otlp_receiver.fresh_guard


class Service:
    """Own mode in force, sending to the receiver, without the OTel globals."""

    def __init__(self, receiver: Receiver, config: Config, note, *, periodic: bool, **keywords) -> None:
        self.receiver = receiver
        self._note = note
        self.engine = OwnEngine(config, periodic=periodic, **keywords)
        self.telemetry = configure.Telemetry("own", config, self.engine)
        configure.adopt(self.telemetry, self.engine)
        self.model = otel_ml.Model("m", version="1", events="all", capture_features="all")

    def predict(self, count: int = 1, features=None) -> None:
        """Makes predictions through the public interface."""
        for _ in range(count):
            with self.model.prediction({"x": 1.0} if features is None else features) as prediction:
                prediction.set_output(prediction=1, score=0.9)

    def flush(self, seconds: float = 20.0) -> bool:
        return self.telemetry.force_flush(seconds)

    def ledger(self, name: str = "traces") -> Ledger:
        return self.telemetry.ledger()[name]

    def balanced(self) -> bool:
        """Checks that the ledger adds up and that the receiver has what it calls delivered."""
        received = self.receiver.counted()
        difference = 0
        for name, one in self.telemetry.ledger().items():
            decided = one.delivered + one.rejected + sum(one.dropped.values())
            difference += abs(one.produced - decided - one.in_flight) + abs(one.delivered - received[name])
        self._note(difference)
        return difference == 0

    def end(self, seconds: float = 5.0) -> float:
        """Shuts down; returns the seconds it took."""
        began = time.monotonic()
        self.telemetry.shutdown(seconds)
        return time.monotonic() - began


class Program:
    """A Python program in a process of its own."""

    def __init__(self, command, environment, folder) -> None:
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.pid = self._process.pid
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.strip())
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self._lines)

    def wait_for_line(self, start: str, timeout: float = 180.0) -> str:
        """Returns the first line with this prefix."""

        def found():
            return next((line for line in self._lines if line.startswith(start)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._process.poll() is not None, timeout)
            line = found()
        assert line is not None, self.output
        return line

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 180.0) -> int:
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        return status

    def is_running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        if self._process.poll() is None:
            for child in psutil.Process(self.pid).children(recursive=True):
                child.kill()
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


@pytest.fixture
def make_service(receiver, tmp_path, request, figure):
    """Makes services that send to the receiver; shuts them down after the test."""
    made: list[Service] = []
    case = re.match(r"test_case_(\d+)", request.node.name)

    def note(difference: int) -> None:
        figure(int(case[1]) if case else 0, difference=difference)

    def make(*, periodic: bool = False, keywords=None, **settings) -> Service:
        settings = {
            "service_name": "faults",
            "endpoint": receiver.url,
            "instance_dir": str(tmp_path / "instances"),
            "timeout": 2.0,
            "schedule_delay": 0.05,
            **settings,
        }
        (tmp_path / "instances").mkdir(exist_ok=True)
        service = Service(receiver, Config(**settings), note, periodic=periodic, **(keywords or {}))
        made.append(service)
        return service

    yield make
    receiver.close()
    for service in made:
        service.telemetry.shutdown(1.0)
    configure.adopt(None, None)


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture
def run(receiver, tmp_path):
    """Starts a program of `programs/`, or a command, that sends its telemetry to the receiver."""
    running: list[Program] = []

    def start(*command, **environment) -> Program:
        if str(command[0]).endswith(".py"):
            command = (sys.executable, FOLDER / "programs" / command[0], *command[1:])
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "COV_"))}
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_ML_INSTANCE_DIR": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            **{key: str(value) for key, value in environment.items()},
        }
        program = Program([str(part) for part in command], {**kept, **settings}, FOLDER / "programs")
        running.append(program)
        return program

    yield start
    for program in running:
        program.close()


@pytest.fixture
def free_port():
    return reserved_ports.free_port()


@pytest.fixture
def figure(request):
    """Records figures of a case for the table of `make faults`."""

    def note(case: int, **values) -> None:
        path = os.environ.get("FAULT_FIGURES")
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"case": case, "test": request.node.nodeid, **values}) + "\n")

    return note


@pytest.fixture
def resident():
    """Returns the resident memory of this process in MiB."""
    return lambda: psutil.Process().memory_info().rss / 2**20
