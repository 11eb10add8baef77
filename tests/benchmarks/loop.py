"""One contender called in a hot loop, by one thread or by several; prints its figures as JSON.

Three times are told apart:

- the caller's time, threads idle (`--load idle`): the loop's wall time over its calls while the threads behind the
  contender are to sleep for an hour (those of otel-ml are called all the same when there is much to count);
- the caller's time, encoding alongside (`--load alongside`): the same while the threads behind the contender encode and
  send, without a pause longer than 20 ms. What waits at the end of the loop is sent outside the caller's time,
- but inside the process CPU, which is all that the process spent on the loop and on bringing out its last record.

A hot loop outruns the threads, and how much of their work falls into it is the interpreter's choice: `alongside_percent` is
the share of their CPU time that did. Where it is small, the caller was hardly disturbed and the work is still to come; what
a call costs when the threads must keep up is seen in the process CPU, and in the overloaded service of `throughput.py`.

The loop is run three times with a flush after each: the caller's time is that of the fastest, since what else runs on the
machine only ever adds to it; process CPU and `total_us` (wall time until the last record had arrived) are those of the median
one. With several threads the calls are shared out, and the caller's time is the wall time over all calls together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time

from contender import CONTENDERS, EXPECTED, FEATURES, LOADS, Predict, lost, predict, warmed

LOOPS = 3
SETTLE = 0.1
"""Seconds in which what a flush woke goes back to sleep."""


def timed(function: Predict, calls: int, threads: int) -> tuple[float, float]:
    """Seconds that the threads need for so many calls together, and the CPU seconds of those threads."""
    used: list[float] = []
    start = threading.Barrier(threads + 1)

    def work() -> None:
        start.wait()
        before = time.thread_time()
        for _ in range(calls // threads):
            function(FEATURES)
        used.append(time.thread_time() - before)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began, sum(used)


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
    callers: list[float] = []
    shares: list[float] = []
    cpus: list[float] = []
    totals: list[float] = []
    missing = 0
    for _ in range(LOOPS):
        time.sleep(SETTLE)
        used, began = time.process_time(), time.perf_counter()
        caller, own = timed(function, calls, given.threads)
        alongside = time.process_time() - used - own
        flush()
        spent = time.process_time() - used
        totals.append(time.perf_counter() - began)
        callers.append(caller)
        shares.append(alongside / (spent - own))
        cpus.append(spent)
        missing += lost(given.name, calls)
    figures = {
        "caller_us": min(callers) / calls * 1e6,
        "cpu_us": statistics.median(cpus) / calls * 1e6,
        "total_us": statistics.median(totals) / calls * 1e6,
    }
    if given.name in EXPECTED:
        figures |= {"alongside_percent": 100 * statistics.median(shares), "lost": missing}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
