"""Counts the instructions of one prediction with valgrind: repeatable, unlike the clock of a shared machine.

    python tests/benchmarks/instructions.py
    python tests/benchmarks/instructions.py --json

Each figure is the difference between two runs of different length, divided by the difference in calls, so that
start-up does not count. The caller's share is counted in a process that ends before anything is flushed; what a flush
adds is the worker, the encoding and the sending. Needs valgrind on the PATH; one figure takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from contender import CONTENDERS, warmed
from load import FEATURES, LOADS, predict
from programs import receiver

FEW, MANY = 500, 2500
"""Calls of the two runs; both stay below the length at which a queue wakes the worker."""
SUMMARY = re.compile(r"I\s+refs:\s+([\d,]+)")


def loop(name: str, calls: int, *, flushes: bool) -> None:
    """Calls one contender in this process and ends without running exit handlers."""
    function, flush = warmed(name, predict, LOADS["idle"])
    for _ in range(calls):
        function(FEATURES)
    if flushes:
        flush()
    os._exit(0)


def count(name: str, calls: int, endpoint: str, *, flushes: bool) -> int:
    """Returns the instructions of a whole process."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable]
    command += [str(Path(__file__)), "--child", name, "--calls", str(calls), *(["--flush"] if flushes else [])]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment = {**kept, "PYTHONHASHSEED": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = SUMMARY.search(done.stderr)
    if found is None:
        raise SystemExit(f"instructions: valgrind printed no total: {done.stderr[-200:]}")
    return int(found.group(1).replace(",", ""))


def a_call(name: str, endpoint: str, *, flushes: bool) -> int:
    """Returns the instructions that one call adds."""
    few, many = (count(name, calls, endpoint, flushes=flushes) for calls in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def main() -> None:
    """Counts the two contenders that the gates of the hot path name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["ours_metrics", "ours_everything"], metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--flush", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        loop(given.child, given.calls, flushes=given.flush)
    figures = {}
    with receiver() as endpoint:
        for name in given.names:
            caller = a_call(name, endpoint, flushes=False)
            figures[name] = {"caller": caller, "all": a_call(name, endpoint, flushes=True)}
            if not given.json:
                print(f"{name}: caller {caller:,}, with the worker {figures[name]['all']:,} instructions a call")
    if given.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
