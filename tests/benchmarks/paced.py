"""One contender called on a schedule, 2,000 times a second, while its threads flush once a second; prints figures as JSON.

    echo | python tests/benchmarks/paced.py ours_everything

The schedule is open: call *i* is due at *i* / rate even if the one before is late, so a stall delays all calls behind
it. Two latencies are kept per call: `call`, from its start until it returns, and `due`, from the moment it was due. `due`
includes the wait of a sleeper that could not get the GIL back (and the sleep's own lateness, which the bare function
has too: subtract it).

A slice is two seconds by default, so that it holds at least one whole flush. Other load on the machine delays sleepers too,
often by milliseconds, and only adds: of a round's slices the quietest counts.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from arithmetic import percentile
from contender import CONTENDERS, lost, warmed
from load import FEATURES, LOADS, Flush, Predict, predict
from slices import serve

QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def paced(function: Predict, rate: float, calls: int) -> dict[str, list[float]]:
    """Returns the `call` and `due` latencies in microseconds."""
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
    """Keeps the schedule for this many seconds, flushes, and asks the sink what arrived."""
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
    parser.add_argument(
        "--export", type=float, default=1.0, help="seconds between exports of metrics (default: %(default)s)"
    )
    given = parser.parse_args()
    function, flush = warmed(given.name, predict, replace(LOADS["periodic"], metrics=given.export))
    serve(lambda: sliced(given.name, function, flush, given.rate, given.seconds))


if __name__ == "__main__":
    main()
