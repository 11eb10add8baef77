"""The thread that cuts what runs too long."""

from __future__ import annotations

import threading
import time

from otel_ml._telemetry.delivery._watchdog import Watchdog


def test_what_runs_too_long_is_cut_and_nothing_else():
    """Each block has its own deadline; one that has ended is never cut."""
    watchdog, cut, ended = Watchdog(), threading.Event(), []
    with watchdog.watching(time.monotonic() + 60, lambda: ended.append("long")):
        deadline = time.monotonic() + 0.5
        with watchdog.watching(deadline, lambda: ended.append("ended")):
            pass
        with watchdog.watching(time.monotonic() + 0.02, cut.set):
            assert cut.wait(60)
        while time.monotonic() < deadline + 0.02:
            time.sleep(0.01)

    assert ended == []


def test_a_deadline_that_has_passed_cuts_at_once():
    """No block waits for the deadline of another one."""
    watchdog, cut = Watchdog(), threading.Event()
    with watchdog.watching(time.monotonic() - 1, cut.set):
        assert cut.wait(60)
