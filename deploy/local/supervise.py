"""Watches the processes that stack.py started: waits until they are healthy, prints addresses, gives the verdict.

It runs as one more process of the list, so that its end, like that of any process, ends the whole list.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

VERDICT = "verdict"
READY_SECONDS = 90.0
POLL_SECONDS = 0.2
STOP_SECONDS = 30.0


class Endpoint(NamedTuple):
    """The health address of one process, and what to print about it."""

    health: str
    address: str
    what: str


def endpoints(environment: dict[str, str]) -> dict[str, Endpoint]:
    """The processes known by name; any other is only watched for its end."""

    def url(port: str, path: str = "") -> str:
        return f"http://127.0.0.1:{environment[port]}{path}"

    return {
        "collector": Endpoint(url("COLLECTOR_HEALTH_PORT"), url("COLLECTOR_HTTP_PORT"), "OTLP over HTTP"),
        "prometheus": Endpoint(url("PROMETHEUS_PORT", "/-/ready"), url("PROMETHEUS_PORT"), "PromQL API"),
        "alertmanager": Endpoint(url("ALERTMANAGER_PORT", "/-/ready"), url("ALERTMANAGER_PORT"), "alerts, for amtool"),
        "webhook": Endpoint(url("WEBHOOK_PORT"), url("WEBHOOK_PORT"), "takes all alerts"),
        "victoria-logs": Endpoint(
            url("VICTORIA_LOGS_PORT", "/health"), url("VICTORIA_LOGS_PORT", "/select/vmui"), "logs"
        ),
        "jaeger": Endpoint(url("JAEGER_ADMIN_PORT"), url("JAEGER_QUERY_PORT", "/api/services"), "traces, query API"),
        "console": Endpoint(url("CONSOLE_PORT", "/"), url("CONSOLE_PORT"), "predictions, web page"),
        "service": Endpoint(url("SERVICE_PORT", "/healthz"), url("SERVICE_PORT"), "the example service"),
    }


def answers(address: str) -> bool:
    """True if the address answers with a success status."""
    try:
        with urllib.request.urlopen(address, timeout=2.0) as response:
            return bool(response.status < 400)
    except (urllib.error.URLError, OSError):
        return False


def wait_until_healthy(names: list[str], known: dict[str, Endpoint]) -> list[str]:
    """Returns the names that did not become healthy in time; prints a line for each that did."""
    started = time.monotonic()
    waiting = [name for name in names if name in known]
    while waiting and time.monotonic() - started < READY_SECONDS:
        ready = [name for name in waiting if answers(known[name].health)]
        for name in ready:
            waiting.remove(name)
            print(f"stack: {name} is healthy after {time.monotonic() - started:.1f} s", flush=True)
        if waiting:
            time.sleep(POLL_SECONDS)
    return waiting


def run_for(command: str, seconds: float | None) -> int:
    """Runs a command (or only waits) and ends it with SIGTERM after the time; returns 0 unless it failed before.

    The command stays in this process group, so that ending the list ends it too.
    """
    process = subprocess.Popen(f"exec {command}" if command else "exec sleep 2147483647", shell=True)
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 0
    return status


def supervise(environment: dict[str, str]) -> int:
    """Runs health checks, traffic and verification; returns the verdict."""
    known = endpoints(environment)
    names = environment["STACK_PROCESSES"].split()
    late = wait_until_healthy(names, known)
    if late:
        print(f"stack: not healthy after {READY_SECONDS:.0f} s: {', '.join(late)}", flush=True)
        return 1
    for name in names:
        if name in known:
            print(f"stack: {name.ljust(14)}{known[name].address}  {known[name].what}", flush=True)
    print(f"stack: {'log'.ljust(14)}{environment['STACK_DIR']}/stack.log", flush=True)
    seconds = environment.get("STACK_SECONDS")
    traffic = environment["STACK_TRAFFIC"]
    status = run_for(traffic, float(seconds) if seconds else None)
    if status != 0:
        print(f"stack: the traffic ended with status {status}", flush=True)
        return 1
    verify = environment["STACK_VERIFY"]
    return subprocess.run(verify, shell=True, check=False).returncode if verify else 0


def main() -> int:
    """Writes the verdict where stack.py reads it: an exit status alone could be that of any other process."""
    status = supervise(dict(os.environ))
    Path(os.environ["STACK_DIR"], VERDICT).write_text(str(status))
    return status


if __name__ == "__main__":
    sys.exit(main())
