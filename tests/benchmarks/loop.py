"""One contender called in a hot loop, by one thread or by several; prints its figures as JSON.

Three times are told apart:

- the caller's time, threads idle (`--load idle`): the loop's wall time over its calls while nothing is encoded at all;
- the caller's time, encoding alongside (`--load alongside`): the same while the threads behind the contender encode and
  send, without a pause longer than 20 ms. A hot loop outruns them, so `alongside` says which share of the bytes had been
  received when the loop ended. What waits then is sent outside the caller's time,
- but inside the process CPU, which is all that the process spent on the loop and on bringing out its last record.

The loop is run three times with a flush after each: the caller's time is that of the fastest, since what else runs on the
machine only ever adds to it; process CPU and `total_us` (wall time until the last record had arrived) are those of all three
together. With several threads the calls are shared out, and the caller's time is the wall time over all calls together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time

from contender import CONTENDERS, EXPECTED, FEATURES, LOADS, Predict, ask, lost, predict, warmed

LOOPS = 3


def timed(function: Predict, calls: int, threads: int) -> float:
    """Seconds that the threads need for so many calls together."""

    def work() -> None:
        start.wait()
        for _ in range(calls // threads):
            function(FEATURES)

    if threads == 1:
        began = time.perf_counter()
        for _ in range(calls):
            function(FEATURES)
        return time.perf_counter() - began
    start = threading.Barrier(threads + 1)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def main() -> None:
    """Warms up, times the loop, flushes, and asks the sink what came."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--load", choices=list(LOADS), default="alongside")
    given = parser.parse_args()
    calls = given.calls // given.threads * given.threads
    function, flush = warmed(given.name, predict, LOADS[given.load])
    sends = given.name in EXPECTED
    callers: list[float] = []
    shares: list[float] = []
    missing, cpu, total = 0, 0.0, 0.0
    for _ in range(LOOPS):
        used, began = time.process_time(), time.perf_counter()
        callers.append(timed(function, calls, given.threads))
        sent = ask("bytes")["bytes"] if sends else 0
        flush()
        cpu += time.process_time() - used
        total += time.perf_counter() - began
        if sends:
            shares.append(sent / max(1, ask("bytes")["bytes"]))
            missing += lost(given.name, calls)
    figures = {
        "caller_us": min(callers) / calls * 1e6,
        "cpu_us": cpu / calls / LOOPS * 1e6,
        "total_us": total / calls / LOOPS * 1e6,
    }
    if sends:
        figures |= {"alongside_percent": 100 * statistics.median(shares), "lost": missing}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
