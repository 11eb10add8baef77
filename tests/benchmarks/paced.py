"""One contender called on a schedule, 2,000 times a second, while its threads flush once a second; prints figures as JSON.

The schedule is open: call *i* is due at *i* / rate whatever became of the one before, so a stall is felt by all the calls
that it delays. Two latencies are kept of each call: `call`, from the moment it begins until it returns, and `due`, from
the moment it was due, in which a sleeper that could not get the interpreter back is seen (and the sleep's own lateness,
which the bare function has too: subtract it).

Whatever else runs on the machine delays sleepers as well, often by milliseconds. So `quiet_p99_us` is the percentile of `due`
in the quietest two seconds: there is at least one whole flush of the contender in any two, and foreign load only ever adds.
"""

from __future__ import annotations

import argparse
import json
import time

from arithmetic import percentile
from contender import CONTENDERS, FEATURES, LOADS, Predict, lost, predict, warmed

WINDOW = 2
"""Seconds; the flushes are a second and their own duration apart."""
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def paced(function: Predict, rate: float, calls: int) -> dict[str, list[float]]:
    """Microseconds of each call by `call` and `due`."""
    took: list[float] = []
    late: list[float] = []
    start = time.perf_counter() + 0.05
    for number in range(calls):
        due = start + number / rate
        while (now := time.perf_counter()) < due:
            time.sleep(due - now)
        function(FEATURES)
        ended = time.perf_counter()
        took.append((ended - now) * 1e6)
        late.append((ended - due) * 1e6)
    return {"call": took, "due": late}


def quietest(latencies: list[float], size: int) -> float:
    """The lowest 99th percentile of the windows of so many calls."""
    return min(percentile(latencies[start : start + size], 0.99) for start in range(0, len(latencies), size))


def main() -> None:
    """Warms up, keeps the schedule, flushes, and asks the sink what came."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--seconds", type=int, default=6)
    given = parser.parse_args()
    calls = round(given.rate * given.seconds)
    function, flush = warmed(given.name, predict, LOADS["periodic"])
    cpu = time.process_time()
    latencies = paced(function, given.rate, calls)
    figures = {
        f"{kind}_{name}_us": percentile(values, share)
        for kind, values in latencies.items()
        for name, share in QUANTILES.items()
    }
    figures["quiet_p99_us"] = quietest(latencies["due"], round(WINDOW * given.rate))
    figures["cpu_percent"] = 100 * (time.process_time() - cpu) / given.seconds
    flush()
    print(json.dumps({**figures, "lost": lost(given.name, calls)}))


if __name__ == "__main__":
    main()
