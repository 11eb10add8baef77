"""Two agents, two gateways: what a run loses and splits, also while one of them is stopped or killed; `make tiers`.

    python tests/benchmarks/tiers.py
    python tests/benchmarks/tiers.py --rate 1000 --only "SIGKILL gateway" --json

Two services, each with an agent (agent.yaml, to_gateway.yaml), predict at half the rate each; every trace has one
prediction of each service. Both agents send to both gateways (agent.yaml, gateway.yaml), which keep every trace, so
that all can be counted, or in one row 5 %. A fault hits the first agent or gateway at half time; it starts again after
some seconds. All processes share the machine, and all settings are the shipped ones.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampler import cpu_seconds, resident

from collector import ROOT, agent_environment, build, wait_until_ready

HERE = Path(__file__).parent
FAULTS = {
    f"{name} {role}": (getattr(signal, name), role) for role in ("agent", "gateway") for name in ("SIGTERM", "SIGKILL")
}
TIERS = {
    "agent": ["agent.yaml", "to_gateway.yaml"],
    "gateway": ["agent.yaml", "gateway.yaml"],
    # Those of kafka_tiers.py.
    "writer": ["agent.yaml", "to_kafka.yaml"],
    "reader": ["agent.yaml", "from_kafka.yaml"],
}
SERVICES = 2
ROWS = ("no fault", "5 % kept", *FAULTS)
AWAY = 3.0
"""Seconds until the Collector of the fault starts again."""
WAIT = 90.0
"""Seconds for the last item to arrive."""


@dataclass
class Process:
    """One Collector, which can be stopped and started again with the same queue."""

    name: str
    role: str
    environment: dict[str, str]
    folder: Path
    running: subprocess.Popen[bytes] = field(init=False)
    cpu: float = 0.0

    def start(self, binary: str) -> None:
        """Starts it and waits until it takes requests."""
        configs = [part for file in TIERS[self.role] for part in ("--config", str(ROOT / "collector" / file))]
        with (self.folder / "log").open("a") as log:
            self.running = subprocess.Popen([binary, *configs], env=self.environment, stdout=log, stderr=log)
        port = int(self.environment["OTELCOL_HEALTH_PORT"]) if self.role == "reader" else self.port
        wait_until_ready(self.running, port, self.folder / "log")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Ends it; returns the seconds that this took."""
        began = time.monotonic()
        self.cpu += cpu_seconds(self.running.pid)
        self.running.send_signal(how)
        self.running.wait(WAIT)
        return time.monotonic() - began

    @property
    def port(self) -> int:
        """The port for OTLP over HTTP."""
        return int(self.environment["OTELCOL_HTTP_PORT"])


@dataclass(frozen=True)
class Run:
    """What one run is asked for."""

    rate: float
    seconds: float
    wait: float
    percent: float = 100.0
    fault: str | None = None


@contextmanager
def started(role: str, number: int, sink: str, run: Run, binary: str, **more: str) -> Iterator[Process]:
    """Runs one Collector. The former ones listen already, so its ports are others."""
    with tempfile.TemporaryDirectory(prefix=f"{role}-") as temporary:
        folder = Path(temporary)
        name = f"{role}-{number}"
        variables, _ = agent_environment(f"{sink}/{name}", folder)
        process = Process(name, role, variables | more | {"OTELCOL_INSTANCE_ID": name}, folder)
        process.start(binary)
        try:
            yield process
        finally:
            process.stop()


@contextmanager
def receiver() -> Iterator[str]:
    """Runs the back end; yields its address."""
    with subprocess.Popen([sys.executable, str(HERE / "tiers_sink.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def service(agent: Process, number: int, run: Run) -> Iterator[subprocess.Popen[str]]:
    """Runs one service beside its agent."""
    command = [sys.executable, str(HERE / "tiers_service.py"), str(run.rate / SERVICES), "--seconds", str(run.seconds)]
    own = {key: value for key, value in os.environ.items() if not key.startswith("OTEL")}
    own |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{agent.port}",
        "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id=service-{number}",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def ask(sink: str) -> dict[str, Any]:
    """Returns what has arrived."""
    with urllib.request.urlopen(sink, timeout=WAIT) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def arrived(sink: str, sent: int, run: Run) -> dict[str, Any]:
    """Waits until all has arrived, or nothing more comes."""
    quiet, last = time.monotonic(), -1
    while True:
        found = ask(sink)
        so_far = found["spans"] + found["events"]
        if so_far != last:
            quiet, last = time.monotonic(), so_far
        all_there = found["events"] >= sent and found["spans"] >= sent * run.percent / 100
        if (all_there and run.percent == 100) or time.monotonic() - quiet > run.wait + 30:
            return found
        time.sleep(1.0)


def measure(run: Run, binary: str) -> dict[str, Any]:
    """Runs two tiers; returns what was sent, what arrived, and what it cost."""
    more = {"OTELCOL_DECISION_WAIT": f"{run.wait:g}s", "OTELCOL_BASELINE_PERCENT": f"{run.percent:g}"}
    with ExitStack() as alive:
        sink = alive.enter_context(receiver())
        tiers = [alive.enter_context(started("gateway", n, sink, run, binary, **more)) for n in (1, 2)]
        names = [f"127.0.0.1:{each.environment['OTELCOL_GRPC_PORT']}" for each in tiers]
        for n in (1, 2):
            # In another order at each agent: it must not matter.
            gateways = ",".join(names[:: 1 if n == 1 else -1])
            tiers.append(alive.enter_context(started("agent", n, sink, run, binary, OTELCOL_GATEWAYS=gateways)))
        services = [alive.enter_context(service(agent, n, run)) for n, agent in enumerate(tiers[2:], 1)]
        figures: dict[str, Any] = {}
        if run.fault:
            time.sleep(run.seconds / 2)
            how, role = FAULTS[run.fault]
            hit = next(each for each in tiers if each.role == role)
            figures["stop_s"] = round(hit.stop(how), 2)
            time.sleep(AWAY)
            hit.start(binary)
        told = [json.loads(each.communicate(timeout=run.seconds + 2 * WAIT)[0]) for each in services]
        sent = sum(each["calls"] for each in told)
        found = arrived(sink, sent, run)
        for each in tiers:
            figures[each.name] = {
                "cpu_us": round((each.cpu + cpu_seconds(each.running.pid)) / sent * 1e6, 1),
                "mib": round(resident(each.running.pid) / 2**20),
            }
    return {
        **figures,
        "rate": round(sum(each["rate"] for each in told)),
        "sent": sent,
        "dropped_by_services": sum(each["lost"] for each in told),
        "spans_lost": sent - found["spans"] if run.percent == 100 else None,
        "events_lost": sent - found["events"],
        "incomplete": sum(n for spans, n in found["spans_of_a_trace"].items() if int(spans) < SERVICES),
        **found,
    }


def line(row: str, figures: dict[str, Any]) -> str:
    """Returns a line of the table."""
    lost = "-" if figures["spans_lost"] is None else f"{figures['spans_lost']:,}"
    cells = [row, f"{figures['sent']:,}", f"{figures['rate']:,}", lost, f"{figures['events_lost']:,}"]
    cells += [f"{figures[each]:,}" for each in ("spans_twice", "events_twice", "split", "incomplete")]
    cells += [f"{figures['points_out_of_order'] + figures['series_moved']}", f"{figures.get('stop_s', '')}"]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5000.0, help="predictions a second (default: %(default)g)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the load (default: %(default)g)")
    parser.add_argument("--wait", type=float, default=15.0, help="OTELCOL_DECISION_WAIT (default: %(default)g)")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    given = parser.parse_args()
    binary = str(build.build("collector-gateway"))
    if not given.json:
        print(
            "| | sent | a second | spans lost | events lost | spans twice | events twice | split traces | incomplete",
            end="",
        )
        print(" traces | points out of order | s to stop |\n" + "| --- " * 11 + "|")
    failed = False
    for row in given.only:
        run = Run(
            given.rate, given.seconds, given.wait, 5 if row == "5 % kept" else 100, row if row in FAULTS else None
        )
        figures = measure(run, binary)
        print(json.dumps(figures) if given.json else line(row, figures), flush=True)
        lost = 0 if row == "SIGKILL gateway" else (figures["spans_lost"] or 0) + figures["incomplete"]
        failed |= bool(lost + figures["events_lost"] + figures["split"] + figures["points_out_of_order"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
