"""Two agents, a Kafka broker, two Collectors that read from it: what a run loses, doubles and reorders when one is killed.

    python tests/benchmarks/kafka_tiers.py
    python tests/benchmarks/kafka_tiers.py --rate 400 --only "SIGKILL broker" --json

Services and load are those of tiers.py. The agents are writers (agent.yaml, to_kafka.yaml), the others readers (agent.yaml,
from_kafka.yaml). At half time a fault hits the broker, the first writer or the first reader; it starts again after some
seconds. The broker has one replica, four partitions a topic and the defaults; all processes share the machine.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sampler import cpu_seconds, resident
from tiers import AWAY, SERVICES, WAIT, Process, Run, ask, receiver, service, started

from collector import ROOT, build

sys.path.insert(0, str(ROOT / "tests" / "pipeline"))

from kafka_broker import Broker, running_broker  # noqa: E402  (found by the line above)

FAULTS = {
    f"{name} {role}": (getattr(signal, name), role)
    for role in ("broker", "writer", "reader")
    for name in ("SIGTERM", "SIGKILL")
}
ROWS = ("no fault", *FAULTS)
WARM = 3.0
"""Seconds until the readers start: by then the topics exist, as they do in a cluster."""
QUIET = 15.0
"""Seconds without an arrival after which nothing more comes. A reader that was killed is missed after 10."""


def arrived(sink: str) -> dict[str, Any]:
    """Waits until nothing more comes, since what comes twice may come late."""
    found = ask(sink)
    quiet = time.monotonic()
    while time.monotonic() - quiet < QUIET:
        time.sleep(1.0)
        before, found = found, ask(sink)
        if found != before:
            quiet = time.monotonic()
    return found


def strike(fault: str, broker: Broker, tiers: Sequence[Process], binary: str) -> float:
    """Stops a process and starts it again after some seconds; returns the seconds that the stop took."""
    how, role = FAULTS[fault]
    began = time.monotonic()
    if role == "broker":
        broker.stop(how)
        took = time.monotonic() - began
        time.sleep(AWAY)
        broker.start()
        return took
    hit = next(each for each in tiers if each.role == role)
    took = hit.stop(how)
    time.sleep(AWAY)
    hit.start(binary)
    return took


def measure(run: Run, binary: str) -> dict[str, Any]:
    """Runs all of it; returns what was sent, what arrived, and what it cost."""
    figures: dict[str, Any] = {}
    with ExitStack() as alive:
        sink = alive.enter_context(receiver())
        folder = Path(alive.enter_context(tempfile.TemporaryDirectory(prefix="broker-")))
        broker = alive.enter_context(running_broker(folder))
        more = {"OTELCOL_KAFKA_BROKERS": broker.address}
        tiers = [alive.enter_context(started("writer", n, sink, run, binary, **more)) for n in (1, 2)]
        services = [alive.enter_context(service(agent, n, run)) for n, agent in enumerate(tiers, 1)]
        began = time.monotonic()
        time.sleep(WARM)
        tiers += [alive.enter_context(started("reader", n, sink, run, binary, **more)) for n in (1, 2)]
        if run.fault:
            time.sleep(max(0.0, run.seconds / 2 - (time.monotonic() - began)))
            figures["stop_s"] = round(strike(run.fault, broker, tiers, binary), 2)
        told = [json.loads(each.communicate(timeout=run.seconds + 2 * WAIT)[0]) for each in services]
        sent = sum(each["calls"] for each in told)
        found = arrived(sink)
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
        "spans_lost": sent - found["spans"],
        "events_lost": sent - found["events"],
        "incomplete": sum(n for spans, n in found["spans_of_a_trace"].items() if int(spans) < SERVICES),
        **found,
    }


COLUMNS = ("sent", "spans_lost", "events_lost", "spans_twice", "events_twice", "split", "points_out_of_order")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0, help="predictions a second (default: %(default)g)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the load (default: %(default)g)")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    given = parser.parse_args()
    binary = str(build.build("collector-gateway"))
    if not given.json:
        print(f"| | {' | '.join(COLUMNS)} | stop_s |\n" + "| --- " * (len(COLUMNS) + 2) + "|")
    failed = False
    for row in given.only:
        figures = measure(Run(given.rate, given.seconds, 0.0, fault=row if row in FAULTS else None), binary)
        cells = [f"{figures[each]:,}" for each in COLUMNS] + [str(figures.get("stop_s", ""))]
        print(json.dumps(figures) if given.json else f"| {row} | {' | '.join(cells)} |", flush=True)
        failed |= bool(figures["spans_lost"] + figures["events_lost"] + figures["points_out_of_order"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
