"""A job waits for room in a queue."""

from __future__ import annotations

from otel_ml._process.backpressure import Backpressure


class Queue:
    """A queue that is asked whether it has room, and is emptied by one at each of some questions."""

    def __init__(self, *, waiting: int, emptied: int) -> None:
        self.waiting = waiting
        self.done = 0
        self.asked = 0
        self._emptied = emptied

    def has_room(self) -> bool:
        self.asked += 1
        if self.done < self._emptied:
            self.done += 1
            self.waiting -= 1
        return self.waiting <= 0


def test_a_wait_lasts_while_there_is_progress():
    """It ends when there is room, even if no single step comes in time for all."""
    queue = Queue(waiting=5, emptied=5)
    Backpressure(queue.has_room, lambda: queue.done, stall_timeout=60.0).wait()
    assert (queue.waiting, queue.asked) == (0, 5)


def test_a_wait_without_progress_ends_and_is_not_repeated():
    """The next one asks once, until something has left the queue."""
    queue = Queue(waiting=2, emptied=0)
    backpressure = Backpressure(queue.has_room, lambda: queue.done, stall_timeout=0.02)
    backpressure.wait()
    asked = queue.asked
    assert asked >= 1
    backpressure.wait()
    assert queue.asked == asked + 1
    queue.done, queue._emptied = 1, 3
    backpressure.wait()
    assert (queue.waiting, queue.asked) == (0, asked + 3)
