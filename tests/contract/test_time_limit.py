"""A test that hangs fails after some minutes, and the run goes on."""

from __future__ import annotations

import signal

import pytest
from built_servers import untimed


def test_this_test_has_a_limit(pytestconfig: pytest.Config) -> None:
    """The clock of pytest-timeout runs, here and in a process of xdist, and again after the limit.

    `Popen.__exit__` waits for a process that hangs, and a second alarm ends that too.
    """
    limit = float(pytestconfig.getini("timeout"))
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 0 < left <= limit == 300
    assert interval == 60


def test_a_build_does_not_count() -> None:
    """What is installed or built once has no limit; afterwards the clock goes on from where it stood."""
    before, interval = signal.getitimer(signal.ITIMER_REAL)
    with untimed():
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    left, still = signal.getitimer(signal.ITIMER_REAL)
    assert (0 < left <= before, still) == (True, interval)
