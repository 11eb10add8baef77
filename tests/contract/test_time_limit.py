"""A test that hangs fails after some minutes, and the run goes on."""

from __future__ import annotations

import signal

import pytest
from built_servers import untimed


def test_this_test_has_a_limit(pytestconfig: pytest.Config) -> None:
    """The clock of pytest-timeout runs, here and in a process of xdist."""
    limit = float(pytestconfig.getini("timeout"))
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= limit == 300


def test_a_build_does_not_count() -> None:
    """What is installed or built once has no limit; afterwards the clock goes on from where it stood."""
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    with untimed():
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= before
