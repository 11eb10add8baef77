"""A receiver that is away for a while under load: what is lost and how much memory waits; prints figures as JSON.

    python tests/benchmarks/outage.py 200 --seconds 60

One thread predicts at a steady rate, from one second before the receiver leaves until one second after it is back. All
settings are the shipped ones, so the queues are as large as those of every service. `lost` compares what was predicted
with what the receiver got; `grown_mib` is how much more memory the process holds at the end of the outage than before.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from contender import EXPECTED, missing, received
from load import FEATURES, Predict, predict

MIB = 2.0**20
AROUND = 1.0
"""Seconds of load before and after the outage."""
WAIT = 120.0
"""Seconds for the last record to arrive."""


class Away:
    """A receiver in a process of its own that can leave its port and come back."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        command = [sys.executable, str(Path(__file__).with_name("sink.py")), "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def stop(self) -> None:
        """Ends it: connections are refused from now on."""
        self._process.terminate()
        self._process.communicate()


def steady(function: Predict, rate: float, seconds: float) -> int:
    """Predicts at this rate; returns how many predictions were made."""
    began, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        if calls / rate > passed:
            time.sleep(calls / rate - passed)
        function(FEATURES)
        calls += 1
    return calls


def measured(
    rate: float, seconds: float, receiver: Away, predict_one: Predict, flush: Callable[[], bool]
) -> dict[str, float]:
    """Returns the figures of one outage."""
    process = psutil.Process()
    steady(predict_one, rate, AROUND)
    flush()
    received()
    receiver.stop()
    before = process.memory_info().rss
    calls = steady(predict_one, rate, seconds)
    grown = process.memory_info().rss - before
    receiver.start()
    calls += steady(predict_one, rate, AROUND)
    deadline = time.monotonic() + WAIT
    while not flush() and time.monotonic() < deadline:
        time.sleep(0.1)
    return {"lost": missing(EXPECTED["ours_everything"], calls), "grown_mib": grown / MIB, "calls": calls}


def main() -> None:
    """Prints the figures of one outage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rate", type=float, help="predictions a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the outage (default: %(default)s)")
    given = parser.parse_args()
    receiver = Away()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{receiver.port}"
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench")
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all")
    try:
        figures = measured(
            given.rate, given.seconds, receiver, model.track(predict), lambda: telemetry.force_flush(30.0)
        )
    finally:
        with suppress(Exception):
            telemetry.shutdown(1.0)
        receiver.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
