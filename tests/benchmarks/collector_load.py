"""A service at a steady rate beside the shipped Collector: what is lost, and what both cost; prints figures as JSON.

    python tests/benchmarks/collector_load.py 5000 --seconds 20

The service, the Collector and the receiver behind it share the machine. All settings are the shipped ones. `lost` compares
the predictions with the spans and events at the receiver.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import urllib.request
from collections import Counter

from contender import EXPECTED
from load import predict
from outage import steady
from programs import receiver
from sampler import cpu_seconds, resident

from collector import OURS, ROOT, running, shipped_binary

WAIT = 60.0
"""Seconds for the last record to arrive."""


def arrived(address: str, wanted: dict[str, int]) -> Counter[str]:
    """Returns what the receiver got; waits for this much."""
    found: Counter[str] = Counter()
    until = time.monotonic() + WAIT
    while True:
        with urllib.request.urlopen(f"{address}/count", timeout=WAIT) as answer:
            found.update(json.load(answer))
        if all(found[kind] >= count for kind, count in wanted.items()) or time.monotonic() > until:
            return found
        time.sleep(0.2)


def measured(rate: float, seconds: float, sink: str) -> dict[str, float]:
    """Returns the figures of one service at this rate."""
    with running(OURS, ROOT / "collector" / "agent.yaml", sink, shipped_binary()) as collector:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.port}"
        import otel_ml

        telemetry = otel_ml.configure(service_name="bench")
        model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all")
        function = model.track(predict)
        before, own = cpu_seconds(collector.pid), time.process_time()
        calls = steady(function, rate, seconds)
        telemetry.force_flush(WAIT)
        wanted = {kind: each * calls for kind, each in EXPECTED["ours_everything"].items()}
        found = arrived(sink, wanted)
        figures = {
            "lost": sum(count - found[kind] for kind, count in wanted.items()),
            "collector_us": (cpu_seconds(collector.pid) - before) / calls * 1e6,
            "service_us": (time.process_time() - own) / calls * 1e6,
            "collector_mib": resident(collector.pid) / 2**20,
            "calls": calls,
        }
        telemetry.shutdown()
    return figures


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rate", type=float, help="predictions a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the load (default: %(default)s)")
    given = parser.parse_args()
    with receiver() as sink:
        print(json.dumps(measured(given.rate, given.seconds, sink)))


if __name__ == "__main__":
    main()
