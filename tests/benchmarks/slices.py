"""Serves a resident contender: it warms up once and runs one slice of work for each line of standard input.

The residents of one program are timed in turn, a fraction of a second each, so that a slow minute of the machine
slows all of them alike. Between slices a resident waits for the next line and costs nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

QUIESCE_SECONDS = 0.1
"""Seconds in which threads that a flush woke go back to sleep."""


def serve(run: Callable[[], dict[str, float]]) -> None:
    """Prints the figures of one slice, as one line of JSON, for each input line."""
    for _ in sys.stdin:
        time.sleep(QUIESCE_SECONDS)
        print(json.dumps(run()), flush=True)
