"""The prediction that every contender records, and how much work its background threads get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FEATURES = {f"feature_{index}": index * 1.37 for index in range(16)}
RESULT = {"prediction": 1, "probability": 0.93}
Predict = Callable[[dict[str, float]], dict[str, Any]]
Flush = Callable[[], object]


@dataclass(frozen=True)
class Load:
    """When the background threads of a contender work, and how much may be queued for them."""

    delay: float
    """Seconds between two rounds of the threads that encode and send."""
    queue: int | None = 1_000_000
    """Records that may be queued: enough that a counted run drops nothing; None for each contender's default."""
    metrics: float = 3600.0
    """Seconds between two exports of metrics, or two scrapes."""
    batch: int = 512
    """Records after which the SDK wakes its thread."""

    @property
    def sizes(self) -> dict[str, Any]:
        """Keyword arguments of the SDK's batch processors."""
        milliseconds = {"schedule_delay_millis": self.delay * 1000}
        if self.queue is None:
            return milliseconds
        return {**milliseconds, "max_queue_size": self.queue, "max_export_batch_size": self.batch}


LOADS = {
    "idle": Load(delay=3600.0, batch=1_000_000),
    "alongside": Load(delay=0.02),
    "periodic": Load(delay=1.0, metrics=1.0),
    "shipped": Load(delay=1.0, metrics=1.0, queue=None),
}
"""Threads asleep until the flush; threads at work all the time; a flush a second; the same with default queues."""


def predict(features: dict[str, float]) -> dict[str, Any]:
    """A model that costs nothing."""
    return RESULT


def nothing() -> None:
    """Does nothing: there is nothing to flush."""
