"""One contender called on a schedule, 2,000 times a second, while its threads flush once a second; prints figures as JSON.

    echo | python tests/benchmarks/paced.py ours_everything

The schedule is open: call *i* is due at *i* / rate whatever became of the one before, so a stall is felt by all the calls
that it delays. Two latencies are kept of each call: `call`, from the moment it begins until it returns, and `due`, from
the moment it was due, in which a sleeper that could not get the interpreter back is seen (and the sleep's own lateness,
which the bare function has too: subtract it).

A slice is two seconds by default: there is at least one whole flush of the contender in any two. Whatever else runs on the
machine delays sleepers as well, often by milliseconds, and only ever adds: of a round's slices the quietest counts.
"""

from __future__ import annotations

import argparse
import time

from arithmetic import percentile
from contender import CONTENDERS, FEATURES, LOADS, Flush, Predict, lost, predict, warmed
from slices import serve

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


def sliced(name: str, function: Predict, flush: Flush, rate: float, seconds: float) -> dict[str, float]:
    """Keeps the schedule for so many seconds, flushes, and asks the sink what came."""
    calls = round(rate * seconds)
    cpu = time.process_time()
    latencies = paced(function, rate, calls)
    figures = {
        f"{kind}_{quantile}_us": percentile(values, share)
        for kind, values in latencies.items()
        for quantile, share in QUANTILES.items()
    }
    figures["cpu_percent"] = 100 * (time.process_time() - cpu) / seconds
    flush()
    return {**figures, "lost": lost(name, calls)}


def main() -> None:
    """Warms up and runs a slice for each line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--rate", type=float, default=2000.0, help="calls a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a slice (default: %(default)s)")
    given = parser.parse_args()
    function, flush = warmed(given.name, predict, LOADS["periodic"])
    serve(lambda: sliced(given.name, function, flush, given.rate, given.seconds))


if __name__ == "__main__":
    main()
