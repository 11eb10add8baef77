"""One contender called in a hot loop, by one thread or by several; prints the figures of a slice as JSON.

    echo | python tests/benchmarks/loop.py ours_everything

It measures three times:

- the caller's time, threads idle (`--load idle`): the loop's wall time per call while the background threads of
  the contender sleep for an hour (those of otel-ml are still woken when there is much to count);
- the caller's time, encoding alongside (`--load alongside`): the same while the background threads of the contender
  encode and send, with pauses of at most 20 ms. What is still queued at the end of the loop is sent outside this time;
- the process CPU: all CPU time that the process spent on the loop and on sending its last record.

A hot loop outruns the threads, and the interpreter decides how much of their work falls into it: `alongside_percent` is the
share of their CPU time that did. If it is small, the caller was hardly disturbed and the work is still to come. What a call
costs when the threads must keep up is shown by the process CPU, and by the overloaded service of `throughput.py`.

A slice is one loop and one flush. `total_us` is the wall time until the last record has arrived. Several threads share the
calls, and the caller's time is the wall time over all calls together.
"""

from __future__ import annotations

import argparse
import threading
import time

from contender import CONTENDERS, EXPECTED, lost, warmed
from load import FEATURES, LOADS, Flush, Predict, predict
from slices import serve


def timed(function: Predict, calls: int, threads: int) -> tuple[float, float]:
    """Returns the seconds that the threads need for this many calls, and their CPU seconds."""
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


def sliced(name: str, function: Predict, flush: Flush, calls: int, threads: int) -> dict[str, float]:
    """Times one loop, flushes, and asks the sink what arrived."""
    used, began = time.process_time(), time.perf_counter()
    caller, own = timed(function, calls, threads)
    alongside = time.process_time() - used - own
    flush()
    spent = time.process_time() - used
    figures = {"caller_us": caller, "cpu_us": spent, "total_us": time.perf_counter() - began}
    figures = {figure: value / calls * 1e6 for figure, value in figures.items()}
    if name in EXPECTED:
        figures |= {"alongside_percent": 100 * alongside / (spent - own), "lost": lost(name, calls)}
    return figures


def main() -> None:
    """Warms up and runs a slice for each line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--calls", type=int, default=20_000, help="calls a slice (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--load", choices=list(LOADS), default="alongside")
    given = parser.parse_args()
    calls = given.calls // given.threads * given.threads
    function, flush = warmed(given.name, predict, LOADS[given.load])
    serve(lambda: sliced(given.name, function, flush, calls, given.threads))


if __name__ == "__main__":
    main()
