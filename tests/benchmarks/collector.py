"""What the shipped Collector costs a span, an event and a data point, beside a plain pipeline.

    python tests/benchmarks/collector.py --seconds 0.5
    python tests/benchmarks/collector.py --config mine=/tmp/agent.yaml     another configuration beside them

All contenders run at the same time and get the same requests of a real service in turn, by keep-alive HTTP: one receiver
`otlp` and one exporter `otlp_http` with the defaults, the same with a queue on disk, and collector/agent.yaml as shipped.
CPU is what the system charged to the Collector's process from the first request of a slice until everything has
arrived. Counts at the receiver show what was lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import truediv
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from collector_traffic import SIGNALS, Request, Sink, recorded, sink
from sampler import cpu_seconds, resident

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import build  # noqa: E402  (found by the line above)
import stack  # noqa: E402

OURS, PLAIN, QUEUED = "agent.yaml", "plain", "plain, queue on disk"
ROUNDS = 7
WAIT = 60.0
"""Seconds for the last item to arrive."""


@dataclass(frozen=True)
class Contender:
    """A running Collector."""

    name: str
    path: str
    """Where its items arrive at the sink."""
    port: int
    pid: int


def shipped_binary() -> str:
    """Returns the path of the Collector as deploy/local/build.py builds it."""
    return str(build.build("collector"))


def plain(address: str, port: int, folder: Path | None = None) -> dict[str, Any]:
    """Returns the configuration of a pipeline without processors; the queue is on disk if there is a folder for it."""
    exporter: dict[str, Any] = {"endpoint": address}
    settings: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlp_http": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
            "pipelines": {
                signal: {"receivers": ["otlp"], "exporters": ["otlp_http"]} for signal in ("traces", "logs", "metrics")
            },
        },
    }
    if folder is not None:
        exporter["sending_queue"] = {"storage": "file_storage"}
        settings["extensions"] = {"file_storage": {"directory": str(folder), "create_directory": True}}
        settings["service"]["extensions"] = ["file_storage"]
    return settings


def agent_environment(address: str, folder: Path) -> tuple[dict[str, str], int]:
    """Returns the variables of collector/agent.yaml, and the port for OTLP over HTTP."""
    grpc, http_port, health = list(stack.choose_ports("auto", {}).values())[:3]
    endpoints = dict.fromkeys(("PROMETHEUS", "LOKI", "TEMPO"), address)
    return {
        **{f"{name}_OTLP_ENDPOINT": value for name, value in endpoints.items()},
        "PATH": os.environ["PATH"],
        "OTELCOL_QUEUE_DIR": str(folder / "queue"),
        "OTELCOL_GRPC_PORT": str(grpc),
        "OTELCOL_HTTP_PORT": str(http_port),
        "OTELCOL_HEALTH_PORT": str(health),
        "OTELCOL_SELF_INTERVAL_MS": "3600000",
    }, http_port


@contextmanager
def running(name: str, config: Path | None, address: str, binary: str) -> Iterator[Contender]:
    """Runs one contender in front of this address until it is stopped; without a file it is the plain pipeline."""
    with tempfile.TemporaryDirectory(prefix="collector-") as temporary:
        folder = Path(temporary)
        environment, port = agent_environment(address, folder)
        if config is None:
            config = folder / "plain.json"
            queue = folder / "queue" if name == QUEUED else None
            config.write_text(json.dumps(plain(address, port, queue)))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([binary, "--config", str(config)], env=environment, stdout=log, stderr=log)
        try:
            wait_until_ready(process, port, folder / "log")
            yield Contender(name, urlsplit(address).path, port, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until a Collector takes requests."""
    until = time.monotonic() + WAIT
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2.0):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the Collector did not start:\n{log.read_text()[-3000:]}")


def slice_of(
    contender: Contender, signal: str, requests: Sequence[Request], seconds: float, kept: Sink
) -> tuple[float, int]:
    """Sends requests for this long and waits for the items; returns CPU seconds an item, and the lost items."""
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=WAIT)
    connection.connect()
    sent, turn = 0, 0
    before, began = cpu_seconds(contender.pid), time.monotonic()
    while turn == 0 or time.monotonic() - began < seconds:
        request = requests[turn % len(requests)]
        connection.request("POST", request.path, request.body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{contender.name}: status {answer.status}")
        sent, turn = sent + request.items, turn + 1
    arrived, until = 0, time.monotonic() + WAIT
    while (
        arrived := arrived + kept.count().get(contender.path + SIGNALS[signal], 0)
    ) < sent and time.monotonic() < until:
        time.sleep(0.05)
    connection.close()
    return (cpu_seconds(contender.pid) - before) / sent, sent - arrived


def measure(
    configs: dict[str, Path | None], seconds: float, rounds: int, binary: str, signals: Sequence[str]
) -> dict[str, Any]:
    """Runs all contenders side by side; returns microseconds an item by signal and contender, and what was lost."""
    requests = recorded(4_000)
    spent: dict[str, dict[str, list[float]]] = {signal: {name: [] for name in configs} for signal in signals}
    lost = dict.fromkeys(configs, 0)
    with ExitStack() as alive:
        kept = alive.enter_context(sink())
        contenders = [
            alive.enter_context(running(name, config, f"{kept.address}/{number}", binary))
            for number, (name, config) in enumerate(configs.items())
        ]
        time.sleep(2.0)
        idle = {each.name: resident(each.pid) / 2**20 for each in contenders}
        for number in range(rounds + 1):
            for signal in signals:
                for contender in contenders[:: 1 if number % 2 else -1]:
                    cost, missing = slice_of(contender, signal, requests[signal], seconds, kept)
                    lost[contender.name] += missing
                    if number:
                        spent[signal][contender.name].append(cost * 1e6)
        full = {each.name: resident(each.pid) / 2**20 for each in contenders}
    return {"spent": spent, "lost": lost, "idle_mib": idle, "loaded_mib": full}


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Returns the medians of each contender, and its ratio to the plain pipeline in the same round."""
    figures: dict[str, Any] = {
        name: {"idle_mib": result["idle_mib"][name], "loaded_mib": result["loaded_mib"][name]}
        for name in result["lost"]
    }
    for signal, by_name in result["spent"].items():
        for name, spent in by_name.items():
            figures[name][signal] = statistics.median(spent)
            figures[name][f"{signal}_ratio"] = statistics.median(map(truediv, spent, by_name[PLAIN]))
    return {**figures, "lost": result["lost"][OURS]}


def show(result: dict[str, Any]) -> None:
    """Prints the table."""
    figures = summary(result)
    for signal, by_name in result["spent"].items():
        print(f"\n{signal:32}{'us':>8}{'best':>8}{'x plain':>9}")
        for name, spent in by_name.items():
            own = figures[name]
            print(f"{name:32}{own[signal]:>8.2f}{min(spent):>8.2f}{own[f'{signal}_ratio']:>9.2f}")
    for what in ("idle_mib", "loaded_mib", "lost"):
        print(what, {name: round(value, 1) for name, value in result[what].items()})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a slice (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="slices of each (default: %(default)s)")
    parser.add_argument(
        "--config", action="append", default=[], metavar="NAME=FILE", help="another configuration beside them"
    )
    parser.add_argument("--signals", nargs="+", choices=list(SIGNALS), default=list(SIGNALS))
    parser.add_argument("--binary", default=None, help="the Collector (default: as built by deploy/local/build.py)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args()
    configs: dict[str, Path | None] = {PLAIN: None, QUEUED: None, OURS: ROOT / "collector" / "agent.yaml"}
    configs |= {name: Path(path) for name, path in (each.split("=", 1) for each in given.config)}
    binary = given.binary or shipped_binary()
    result = measure(configs, given.seconds, given.rounds, binary, given.signals)
    if given.json:
        print(json.dumps(summary(result)))
    else:
        show(result)


if __name__ == "__main__":
    main()
