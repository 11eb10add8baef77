"""One GPU that was seen and what belongs to it, and how long to leave alone what is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from otel_ml.resource_sampler.gpu._device import Device, Gpu
from otel_ml.resource_sampler.gpu._gpm import Gpm
from otel_ml.resource_sampler.gpu._mig import Instance, MigLayout
from otel_ml.resource_sampler.gpu._xid_events import POLL_SECONDS

RETRY_SECONDS: Final = 60.0
"""The longest time that a missing driver or a lost GPU is left alone; the first tries are closer together."""
SLOW_SECONDS: Final = 30.0

_FIRST_RETRY: Final = 5.0
_SPREAD: Final = 0.1
"""Share of a pause by which it varies, so that the workers of a machine do not ask in step."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the GPU source was asked for."""

    clock: Callable[[], float]
    retry: float = RETRY_SECONDS
    slow: float = SLOW_SECONDS
    gpm: bool = False
    poll: float = POLL_SECONDS
    proc: Path = Path("/proc")
    jitter: Callable[[], float] = field(default_factory=lambda: random.Random().random)


class Backoff:
    """Pauses that double from five seconds up to a longest one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pause = min(_FIRST_RETRY, settings.retry)
        self.due_at = float("-inf")

    def fail(self) -> None:
        """Sets the time of the next try."""
        varied = self._pause * (1 + _SPREAD * (2 * self._settings.jitter() - 1))
        self.due_at = self._settings.clock() + varied
        self._pause = min(2 * self._pause, self._settings.retry)

    def reset(self) -> None:
        """For the next loss, which begins with the short pause again."""
        self._pause = min(_FIRST_RETRY, self._settings.retry)
        self.due_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """Whether the pause is over."""
        return self._settings.clock() >= self.due_at


class Slot:
    """One GPU that was ever seen, with what belongs to it."""

    def __init__(self, gpu: Gpu, settings: Settings) -> None:
        self.gpu = gpu
        self.mig = MigLayout(gpu.nvml, gpu)
        self.gpm: dict[str, Gpm] = {}
        self.is_reported = False
        """Whether the log says that it is lost."""
        self._settings = settings

    @property
    def devices(self) -> list[Device]:
        """What programs can run on: the instances, or the GPU itself."""
        if self.gpu.handle is None:
            return []
        return list(self.mig.instances.values()) if self.gpu.is_mig_parent else [self.gpu]

    def gpm_of(self, device: Device) -> Gpm:
        uuid = device.identity.uuid
        if uuid not in self.gpm:
            number = device.slice_id if isinstance(device, Instance) else None
            self.gpm[uuid] = Gpm(self.gpu.nvml, device.identity, self.gpu.handle, number, self._settings.clock)
        return self.gpm[uuid]

    def release(self, keep: frozenset[str] = frozenset()) -> None:
        """Frees the samples of devices that are no more."""
        for uuid in [uuid for uuid in self.gpm if uuid not in keep]:
            self.gpm.pop(uuid).release()
