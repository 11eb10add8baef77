"""The local servers and tools that tests start; missing ones are built first.

The folder `deploy/local` is on the path of whoever asks.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def untimed() -> Iterator[None]:
    """Stops the clock of pytest-timeout: a build or an installation, once a machine, takes longer than a test may."""
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)


def binary(name: str) -> Path:
    """Returns the path of this server or tool; builds it if it is missing."""
    import build

    with untimed():
        return build.build(name)
