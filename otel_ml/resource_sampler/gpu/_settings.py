"""Settings of the GPU source, and the pauses between tries of a lost driver or GPU."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from otel_ml.resource_sampler.gpu._xid_events import POLL_SECONDS

RETRY_SECONDS: Final = 60.0
"""The longest pause between tries of a missing driver or lost GPU; the first pauses are shorter."""
SLOW_SECONDS: Final = 30.0

_FIRST_RETRY: Final = 5.0
_SPREAD: Final = 0.1
"""Share by which a pause varies, so that the workers of a machine do not try at the same moment."""


@dataclass(frozen=True, slots=True)
class GpuSettings:
    """Settings of the GPU source."""

    clock: Callable[[], float]
    retry: float = RETRY_SECONDS
    slow: float = SLOW_SECONDS
    gpm: bool = False
    poll: float = POLL_SECONDS
    proc: Path = Path("/proc")
    jitter: Callable[[], float] = field(default_factory=lambda: random.Random().random)
    is_whole_machine: bool = False
    """Whether every GPU of the machine should answer."""

    def listed_gpus(self) -> frozenset[str] | None:
        """The GPUs that the kernel module lists in /proc, by PCI address; None where there is no list."""
        folder = self.proc / "driver" / "nvidia" / "gpus"
        try:
            return frozenset(entry.name for entry in folder.iterdir())
        except OSError:
            return None


class Backoff:
    """Pauses that double from five seconds up to a longest one."""

    def __init__(self, settings: GpuSettings) -> None:
        self._settings = settings
        self._pause = min(_FIRST_RETRY, settings.retry)
        self.due_at = float("-inf")

    def fail(self) -> None:
        """Sets the time of the next try."""
        varied = self._pause * (1 + _SPREAD * (2 * self._settings.jitter() - 1))
        self.due_at = self._settings.clock() + varied
        self._pause = min(2 * self._pause, self._settings.retry)

    def reset(self) -> None:
        """Starts again with the short pause."""
        self._pause = min(_FIRST_RETRY, self._settings.retry)
        self.due_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """Whether the pause is over."""
        return self._settings.clock() >= self.due_at
