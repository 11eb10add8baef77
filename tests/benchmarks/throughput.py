"""A CPU-bound service with one thread: how many predictions a second it brings out of those it is offered.

The model is plain Python that takes about 100 us, so 10,000 a second are more than one core can do even without
telemetry. Calls are due on an open schedule; the service falls behind when it cannot follow. Queues have the sizes that
each contender ships with: what they cannot hold is dropped, and `dropped_percent` says how much of it. In overload `call_us`
is all that a call costs the service: its own time, and the interpreter that the encoding beside it takes.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from contender import CONTENDERS, EXPECTED, FEATURES, LOADS, RESULT, Predict, lost, warmed

STEPS = 2_000
"""Of the model's loop: about 100 us on the machine that the design's figures are from."""


def busy(features: dict[str, float]) -> dict[str, Any]:
    """A model that is nothing but work for the interpreter."""
    total = 0.0
    for step in range(STEPS):
        total += step * 0.5
    return RESULT


def served(function: Predict, rate: float, seconds: float) -> tuple[int, float]:
    """Calls finished when the time was up, and the seconds that were up then."""
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


def main() -> None:
    """Warms up, serves, flushes, and asks the sink what came."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    function, flush = warmed(given.name, busy, LOADS["shipped"])
    cpu = time.process_time()
    calls, passed = served(function, given.rate, given.seconds)
    cpu = time.process_time() - cpu
    flush()
    records = calls * sum(EXPECTED.get(given.name, {}).values())
    print(
        json.dumps(
            {
                "achieved": calls / passed,
                "call_us": passed / calls * 1e6,
                "cpu_percent": 100 * cpu / passed,
                "dropped_percent": 100 * lost(given.name, calls) / records if records else 0.0,
            }
        )
    )


if __name__ == "__main__":
    main()
