"""Reads the host's and a process's figures with plain psutil at every interval: the cost of reading alone.

    python tests/benchmarks/psutil_pass.py --interval 1

After each pass it prints the CPU seconds of all passes so far. Nothing is kept, compared, encoded or sent; containers
and pressure, which psutil does not know, are not read.
"""

from __future__ import annotations

import argparse
import time

import psutil


def read(process: psutil.Process) -> None:
    """Reads once the host and process figures that the sampler reads."""
    psutil.cpu_times()
    psutil.cpu_count()
    psutil.virtual_memory()
    psutil.swap_memory()
    psutil.disk_io_counters(perdisk=True)
    psutil.disk_usage("/")
    psutil.net_io_counters(pernic=True)
    with process.oneshot():
        process.cpu_times()
        process.memory_info()
        process.io_counters()
        process.num_threads()
        process.num_fds()
        process.num_ctx_switches()
        process.create_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--interval", type=float, default=1.0)
    interval = parser.parse_args().interval
    process, spent = psutil.Process(), 0.0
    read(process)  # the first one opens everything
    while True:
        time.sleep(interval)
        begun = time.thread_time()
        read(process)
        spent += time.thread_time() - begun
        print(spent, flush=True)


if __name__ == "__main__":
    main()
