"""Our threads do longer work one at a time, and wait for each other only briefly."""

from __future__ import annotations

import os
import threading

import pytest

from otel_ml._telemetry import _yielding
from otel_ml._telemetry._yielding import WorkSlot, yield_to_service


def test_one_thread_holds_the_slot_at_a_time(monkeypatch):
    """Two threads are never inside at once while neither is slow; a busy machine makes any thread slow."""
    monkeypatch.setattr(_yielding, "_LONGEST_WAIT", 60.0)
    inside, most = [], []

    def work():
        for _ in range(200):
            with WorkSlot():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 1


def test_a_thread_that_keeps_the_slot_blocks_no_other():
    """Work continues without the slot, and the slot is used again once it is free."""
    held, release = threading.Event(), threading.Event()

    def hang():
        with WorkSlot():
            held.set()
            release.wait(10)

    hanging = threading.Thread(target=hang)
    hanging.start()
    held.wait(10)
    with WorkSlot():
        went_on = hanging.is_alive()
    release.set()
    hanging.join()
    with WorkSlot():
        is_taken = _yielding._slot.locked()

    assert (went_on, is_taken, _yielding._slot.locked()) == (True, True, False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_slot_of_its_own():
    """The child does not wait for a thread of the parent."""
    with WorkSlot():
        child = os.fork()
        if child == 0:
            os._exit(int(_yielding._slot.locked()))
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_yielding_works_on_any_thread():
    """The first call and the following ones return."""
    for _ in range(3):
        yield_to_service()
