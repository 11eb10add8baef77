"""A CPU-bound service with one thread: how many of the offered predictions per second it completes.

    echo | python tests/benchmarks/throughput.py ours_everything --rate 5000

The model is plain Python that takes about 100 us, so 10,000 per second are more than one core can do even without
telemetry. Calls follow an open schedule; the service falls behind when it is too slow. Queues have the default size of each
contender: what they cannot hold is dropped, and `dropped_percent` says how much. In overload `call_us` is the whole cost
of a call to the service: its own time, and the time for which encoding holds the GIL.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from contender import CONTENDERS, EXPECTED, lost, warmed
from load import FEATURES, LOADS, RESULT, Flush, Predict
from slices import serve

STEPS = 2_000
"""Iterations of the model's loop: about 100 us on the reference machine."""


def busy(features: dict[str, float]) -> dict[str, Any]:
    """A model that only keeps the interpreter busy."""
    total = 0.0
    for step in range(STEPS):
        total += step * 0.5
    return RESULT


def served(function: Predict, rate: float, seconds: float) -> tuple[int, float]:
    """Returns the calls finished when time was up, and the seconds elapsed."""
    calls = 0
    start = time.perf_counter()
    while True:
        due = start + calls / rate
        while (now := time.perf_counter()) < due:
            time.sleep(due - now)
        if now - start >= seconds:
            return calls, now - start
        function(FEATURES)
        calls += 1


def sliced(name: str, function: Predict, flush: Flush, rate: float, seconds: float) -> dict[str, float]:
    """Serves for this many seconds, flushes, and asks the sink what arrived."""
    cpu = time.process_time()
    calls, passed = served(function, rate, seconds)
    cpu = time.process_time() - cpu
    flush()
    records = calls * sum(EXPECTED.get(name, {}).values())
    return {
        "achieved": calls / passed,
        "call_us": passed / calls * 1e6,
        "cpu_percent": 100 * cpu / passed,
        "dropped_percent": 100 * lost(name, calls) / records if records else 0.0,
    }


def main() -> None:
    """Warms up and runs a slice for each line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--rate", type=float, default=1000.0, help="calls a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a slice (default: %(default)s)")
    given = parser.parse_args()
    function, flush = warmed(given.name, busy, LOADS["shipped"])
    serve(lambda: sliced(given.name, function, flush, given.rate, given.seconds))


if __name__ == "__main__":
    main()
