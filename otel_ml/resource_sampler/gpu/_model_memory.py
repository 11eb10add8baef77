"""GPU memory as the framework's own allocator counts it, for the process and for single models."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from otel_ml import _guard, _process

MAX_MODELS: Final = 8
_MAX_DEVICES: Final = 64


class Allocated(NamedTuple):
    """What the allocator holds on one device, in bytes."""

    number: int
    """The framework's own number of the device; its order need not be the driver's."""
    uuid: str
    """The device's UUID without a prefix; empty where the framework does not give it."""
    reserved: int
    allocated: int


def allocated() -> list[Allocated]:
    """What PyTorch's allocator holds, by device; empty unless torch was imported by the service and uses CUDA.

    Source: ``torch.cuda.memory_reserved`` and ``memory_allocated``, counters of the allocator that neither start CUDA
    nor wait for the device. Blind to the CUDA context and to memory that other libraries took.
    """
    torch = sys.modules.get("torch")
    return _guard.attempt(_read_torch, torch) or [] if torch is not None else []


def _read_torch(torch: Any) -> list[Allocated]:
    cuda = torch.cuda
    if not cuda.is_initialized():  # any further call would create a context
        return []
    return [
        Allocated(
            number,
            bare(str(getattr(cuda.get_device_properties(number), "uuid", ""))),
            int(cuda.memory_reserved(number)),
            int(cuda.memory_allocated(number)),
        )
        for number in range(min(int(cuda.device_count()), _MAX_DEVICES))
    ]


def bare(uuid: str) -> str:
    """A UUID without the driver's ``GPU-`` or ``MIG-``."""
    for prefix in ("GPU-", "MIG-"):
        if uuid.startswith(prefix):
            return uuid[len(prefix) :]
    return uuid


class ModelMemory:
    """What loading one model added, until the model is gone; made by `model_memory`."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.by_device: dict[int, int] = {}
        """Bytes by the framework's number of the device."""
        self._model: weakref.ref[object] | None = None
        self._is_released = False

    def belongs_to(self, model: object) -> None:
        """Ties the figure to the loaded object, held weakly: the figure ends when the object is collected."""
        self._model = _guard.attempt(weakref.ref, model)

    def release(self) -> None:
        """Ends the figure."""
        self._is_released = True

    @property
    def is_current(self) -> bool:
        """Whether the model still exists, as far as is known."""
        return not self._is_released and (self._model is None or self._model() is not None)


_lock = threading.Lock()
_MODELS: Final[dict[tuple[str, str], ModelMemory]] = {}


@contextmanager
def model_memory(name: str, version: str) -> Iterator[ModelMemory]:
    """A block that loads a model onto a GPU; what the framework's allocator gained meanwhile is the model's memory.

    Emits `otelml.model.gpu.memory.usage` (bytes, by GPU, `ml.model.name` and `ml.model.version`) from a running
    sampler's next tick on, until the model is released. What other threads allocate in the block counts too. Loading
    the same version again replaces the figure. At most `MAX_MODELS` models; beyond that the oldest are dropped.

    Example:
        with model_memory("fraud", "1.0.0") as memory:
            model = load()
            memory.belongs_to(model)
    """
    before = {one.number: one.allocated for one in allocated()}
    memory = ModelMemory(name, version)
    yield memory
    for one in allocated():
        gained = one.allocated - before.get(one.number, 0)
        if gained > 0:
            memory.by_device[one.number] = gained
    with _lock:
        _MODELS.pop((name, version), None)
        _MODELS[name, version] = memory
        while len(_MODELS) > MAX_MODELS:
            del _MODELS[next(iter(_MODELS))]


def loaded_models() -> list[ModelMemory]:
    """The models whose memory was measured and that are still there."""
    with _lock:
        for key in [key for key, memory in _MODELS.items() if not memory.is_current]:
            del _MODELS[key]
        return list(_MODELS.values())


def _reset_after_fork() -> None:
    """In a forked child: CUDA does not survive a fork, nor do the models that it held."""
    global _lock
    _lock = threading.Lock()
    _MODELS.clear()


_process.in_child("resource_sampler.fork", _reset_after_fork)
