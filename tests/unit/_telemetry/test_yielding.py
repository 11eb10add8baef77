"""Threads of ours work one at a time, and wait for each other no longer than a courtesy is worth."""

from __future__ import annotations

import os
import threading

import pytest

from otel_ml._telemetry import _yielding
from otel_ml._telemetry._yielding import Turn, stand_back


def test_turns_exclude_each_other():
    """Two threads are never inside at once as long as neither is slow."""
    inside, most = [], []

    def work():
        for _ in range(200):
            with Turn():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 1


def test_a_thread_that_never_ends_its_turn_holds_nobody_up():
    """Work goes on without a turn, and the turn is taken again when it is free."""
    held, release = threading.Event(), threading.Event()

    def hang():
        with Turn():
            held.set()
            release.wait(10)

    hanging = threading.Thread(target=hang)
    hanging.start()
    held.wait(10)
    with Turn():
        went_on = hanging.is_alive()
    release.set()
    hanging.join()
    with Turn():
        is_taken = _yielding._turn.locked()

    assert (went_on, is_taken, _yielding._turn.locked()) == (True, True, False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_turns_of_its_own():
    """A turn that a thread of the parent holds is not waited for."""
    with Turn():
        child = os.fork()
        if child == 0:
            os._exit(int(_yielding._turn.locked()))
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_standing_back_works_on_any_thread():
    """The first call and the following ones return."""
    for _ in range(3):
        stand_back()
