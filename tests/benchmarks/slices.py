"""How a resident contender is timed: it is warmed once, and runs one slice of its work for each line of standard input.

The residents of one program are timed in turn, a fraction of a second each, so that a minute in which the machine is slow
slows all of them alike. Between its slices a resident waits for the next line and costs nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

SETTLE = 0.1
"""Seconds in which what a flush woke goes back to sleep."""


def serve(run: Callable[[], dict[str, float]]) -> None:
    """Prints the figures of one slice for each line, as one line of JSON."""
    for _ in sys.stdin:
        time.sleep(SETTLE)
        print(json.dumps(run()), flush=True)
