"""Runs the service and, as a second process, `otel-ml sampler`; sends predictions for a while, then stops both."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SERVICE_NAME = "churn-api"


def start_service(environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """Starts the service; returns its process and address."""
    command = [sys.executable, str(Path(__file__).with_name("service.py"))]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1]


def start_sampler(pid: int, interval: float, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Starts the sidecar, which reads the service's process: the same service name, another instance id."""
    options = ["--mode", "sidecar", "--pid", str(pid), "--interval", str(interval), "--service-name", SERVICE_NAME]
    command = [sys.executable, "-c", "import sys; from otel_ml.cli import main; sys.exit(main())", "sampler", *options]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    print(process.stderr.readline(), end="", flush=True)
    return process


def predict(url: str, features: dict[str, int]) -> dict[str, object]:
    """Requests one prediction over HTTP."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/predict", json.dumps(features).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def main() -> int:
    """Returns 0 if both processes ended well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to send predictions (default: 30)")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two readings (default: 5)")
    arguments = parser.parse_args()
    environment = {**os.environ, "OTEL_SERVICE_NAME": SERVICE_NAME}
    service, url = start_service(environment)
    sampler = start_sampler(service.pid, arguments.interval, environment)
    sent, end = 0, time.monotonic() + arguments.seconds
    try:
        while time.monotonic() < end:
            predict(url, {"months": random.randrange(60), "complaints": random.randrange(6)})
            sent += 1
            time.sleep(0.05)
    except KeyboardInterrupt:
        pass
    finally:
        # the sampler first, since the process that it reads must exist while it flushes
        for process in (sampler, service):
            process.terminate()
        print(sampler.communicate(timeout=30)[1], end="")
        service.wait(timeout=30)
        statuses = [sampler.returncode, service.returncode]
    print(f"{sent} predictions sent; exit status of sampler and service: {statuses}")
    return max(abs(status) for status in statuses)


if __name__ == "__main__":
    sys.exit(main())
