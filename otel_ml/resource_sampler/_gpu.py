"""Readings of NVIDIA GPUs through NVML: utilization, memory, power, energy, temperature and whether a GPU is lost."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from otel_ml import semconv
from otel_ml.resource_sampler._source import Gap, GapKind, Reading, Report

MAX_GPUS: Final = 64
RETRY_SECONDS: Final = 60.0
"""How long a missing driver or a lost GPU is left alone."""

_UNKNOWN_IN_A_ROW: Final = 3
"""So many "unknown" answers of one GPU mean that it is gone: a container whose device access was stripped sees them."""
_NOT_AVAILABLE: Final = frozenset({(1 << 32) - 1, (1 << 64) - 1})
"""All ones is the driver's word for "no value"."""

# Codes of nvml.h, grouped by what they mean for the next call.
_UNKNOWN: Final = 999
_GONE_GPU: Final = frozenset({2, 11, 15, 16, 28})  # invalid argument, IRQ, GPU lost, reset required, GPU not found
_GONE_DRIVER: Final = frozenset({1, 9, 12, 18})  # uninitialized, not loaded, no library, library mismatch
_KINDS: Final[dict[int, GapKind]] = {
    **dict.fromkeys((3, 13, 22, 25, 26), "unsupported"),  # ... function not found, ECC of a vGPU, version, deprecated
    **dict.fromkeys((6, 10, 21, 27), "absent"),  # not found, timeout, no data, not ready
    **dict.fromkeys((4, 17), "permission"),  # no permission, blocked by the operating system
    **dict.fromkeys(_GONE_GPU, "lost"),
    **dict.fromkeys(_GONE_DRIVER, "driver"),
}
_LOG: Final = logging.getLogger("otel_ml")


@dataclass(slots=True)
class _Gpu:
    """One GPU that was seen, kept while it is lost."""

    attributes: dict[str, str | int]
    handle: Any = None
    """None while the GPU is lost."""
    unsupported: set[str] = field(default_factory=set)
    unknown_in_a_row: int = 0
    was_reported: bool = False
    """Whether the log says that it is lost."""


class GpuSource:
    """Reads the NVIDIA GPUs that this process can see; no driver means no points and one line in the log.

    The driver is asked for on the first reading, then again every `retry` seconds while it or a GPU is missing.
    Every GPU that was ever seen has its `hw.status`; a lost one is failed and has no other points.
    `hw.gpu.memory.usage` is total minus free, so that reserved memory counts as used whatever the driver's version.

    Args:
        nvml: The module that answers like ``pynvml``; by default nvidia-ml-py, imported on the first reading.
        retry: Seconds between attempts to find a missing driver or a lost GPU.
        clock: Monotonic seconds.
    """

    name = "gpu"
    metrics = (
        semconv.HW_GPU_UTILIZATION,
        semconv.HW_GPU_MEMORY_USAGE,
        semconv.HW_GPU_MEMORY_LIMIT,
        semconv.HW_GPU_MEMORY_UTILIZATION,
        semconv.HW_POWER,
        semconv.HW_ENERGY,
        semconv.HW_TEMPERATURE,
        semconv.HW_STATUS,
        semconv.GPU_POWER_LIMIT,
    )

    def __init__(
        self, *, nvml: Any = None, retry: float = RETRY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._nvml = nvml
        self._retry = retry
        self._clock = clock
        self._pid = os.getpid()
        self._gpus: dict[str, _Gpu] = {}
        self._missing: Gap | None = None
        """Why there is no driver; None while there is one."""
        self._ready = False
        self._look_at = float("-inf")
        """When to look for the driver or a lost GPU again."""

    def read(self) -> Report:
        """Reads every GPU once; a GPU that fails does not stop the others."""
        if self._pid != os.getpid():  # NVML's state does not survive a fork
            self._pid, self._ready, self._gpus, self._look_at = os.getpid(), False, {}, float("-inf")
        readings: list[Reading] = []
        gaps: list[Gap] = []
        if self._is_incomplete() and self._clock() >= self._look_at:
            self._look_at = self._clock() + self._retry
            gaps.extend(self._look())
        for uuid, gpu in self._gpus.items():
            if gpu.handle is not None:
                self._read_gpu(uuid, gpu, readings, gaps)
        for gpu in self._gpus.values():
            readings.extend(_status(gpu))
        if self._missing is not None:
            gaps.append(self._missing)
        return Report(tuple(readings), tuple(gaps))

    def close(self) -> None:
        """Lets the driver library go; called by the thread that reads, so that no call is in flight."""
        if self._ready and self._pid == os.getpid():
            self._shut_down()
        self._gpus = {}
        self._look_at = float("-inf")

    def _is_incomplete(self) -> bool:
        return not self._ready or self._missing is not None or any(gpu.handle is None for gpu in self._gpus.values())

    def _look(self) -> Iterator[Gap]:
        """Finds the driver and its GPUs, and takes up those that were lost."""
        try:
            self._start()
            count = int(self._nvml.nvmlDeviceGetCount())
        except ImportError:
            self._miss(Gap("nvml", "driver", "nvidia-ml-py is not installed: pip install 'otel-ml[gpu]'"))
            return
        except self._errors() as error:
            self._shut_down()
            self._miss(Gap("nvml", "driver", str(error)))
            return
        if count == 0:
            # a broken device mount looks like this: not the same as idle
            self._miss(Gap("nvml", "driver", "the driver shows no GPU"))
            return
        self._missing = None
        for index in range(min(count, MAX_GPUS)):
            yield from self._try_index(index)
        if count > MAX_GPUS:
            yield Gap("gpu", "capped", f"{count - MAX_GPUS} of {count} GPUs left out")

    def _start(self) -> None:
        if self._nvml is None:
            self._nvml = importlib.import_module("pynvml")
        if not self._ready:
            self._nvml.nvmlInit()
            self._ready = True

    def _try_index(self, index: int) -> Iterator[Gap]:
        try:
            self._take_up(index)
        except self._errors() as error:
            yield Gap(f"gpu {index}", self._kind(error), str(error))

    def _take_up(self, index: int) -> None:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(self._nvml.nvmlDeviceGetUUID(handle))
        gpu = self._gpus.get(uuid)
        if gpu is None:
            if len(self._gpus) >= MAX_GPUS:
                return
            attributes: dict[str, str | int] = {
                semconv.HW_ID: uuid,
                semconv.HW_NAME: f"GPU {index}",
                semconv.HW_VENDOR: "NVIDIA",
                semconv.HW_MODEL: _text(self._nvml.nvmlDeviceGetName(handle)),
            }
            gpu = self._gpus[uuid] = _Gpu(attributes)
        elif gpu.handle is None:
            gpu.unsupported.clear()
            gpu.unknown_in_a_row = 0
        gpu.handle = handle

    def _read_gpu(self, uuid: str, gpu: _Gpu, readings: list[Reading], gaps: list[Gap]) -> None:
        for what, read in _CALLS.items():
            if what in gpu.unsupported:
                gaps.append(Gap(f"{gpu.attributes[semconv.HW_NAME]} {what}", "unsupported"))
                continue
            try:
                readings.extend(read(self._nvml, gpu))
                gpu.unknown_in_a_row = 0
                if gpu.was_reported:
                    gpu.was_reported = False
                    _LOG.info("otel-ml: GPU %s is back", uuid)
            except self._errors() as error:
                kind = self._kind(error)
                gaps.append(Gap(f"{gpu.attributes[semconv.HW_NAME]} {what}", kind, str(error)))
                if kind == "unsupported":
                    gpu.unsupported.add(what)
                elif kind == "driver":
                    self._lose_driver(gaps[-1].detail)
                    return
                elif kind == "lost" or self._is_unknown_again(gpu, error):
                    self._lose(uuid, gpu, gaps[-1].detail)
                    return

    def _is_unknown_again(self, gpu: _Gpu, error: Exception) -> bool:
        if getattr(error, "value", None) != _UNKNOWN:
            return False
        gpu.unknown_in_a_row += 1
        return gpu.unknown_in_a_row >= _UNKNOWN_IN_A_ROW

    def _lose(self, uuid: str, gpu: _Gpu, why: str) -> None:
        gpu.handle = None
        self._look_at = self._clock() + self._retry
        if gpu.was_reported:
            return
        gpu.was_reported = True
        is_stripped = gpu.unknown_in_a_row >= _UNKNOWN_IN_A_ROW
        hint = "; if this container lost its access to the device, recreate it" if is_stripped else ""
        _LOG.warning("otel-ml: GPU %s is lost (%s): its readings are absent until it is back%s", uuid, why, hint)

    def _lose_driver(self, why: str) -> None:
        for gpu in self._gpus.values():
            gpu.handle = None
        self._shut_down()
        self._look_at = self._clock() + self._retry
        self._miss(Gap("nvml", "driver", why))

    def _miss(self, gap: Gap) -> None:
        if self._missing != gap:
            _LOG.info("otel-ml: no NVIDIA GPU can be read (%s): GPU readings are absent", gap.detail)
        self._missing = gap

    def _shut_down(self) -> None:
        if self._ready:
            self._ready = False
            try:
                self._nvml.nvmlShutdown()
            except self._errors():
                return

    def _errors(self) -> tuple[type[Exception], ...]:
        """What NVML calls raise; an old binding lacks newer functions, and a missing symbol has a class of its own."""
        errors: list[type[Exception]] = [AttributeError]
        for name in ("NVMLError", "NVMLLibraryMismatchError"):
            error = getattr(self._nvml, name, None)
            if error is not None:
                errors.append(error)
        return tuple(errors)

    def _kind(self, error: Exception) -> GapKind:
        # by value: NVMLError cannot be hashed, and comparing one with a foreign exception raises
        value = getattr(error, "value", None)
        return "unsupported" if value is None else _KINDS.get(value, "failed")


def _utilization(nvml: Any, gpu: _Gpu) -> Iterator[Reading]:
    share = int(nvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu)
    if 0 <= share <= 100:
        yield Reading(semconv.HW_GPU_UTILIZATION, share / 100, {**gpu.attributes, semconv.HW_GPU_TASK: "general"})


def _memory(nvml: Any, gpu: _Gpu) -> Iterator[Reading]:
    memory = nvml.nvmlDeviceGetMemoryInfo(gpu.handle)
    total, free = int(memory.total), int(memory.free)
    if 0 <= free <= total and total not in _NOT_AVAILABLE and total > 0:
        yield Reading(semconv.HW_GPU_MEMORY_USAGE, total - free, gpu.attributes)
        yield Reading(semconv.HW_GPU_MEMORY_LIMIT, total, gpu.attributes)
        yield Reading(semconv.HW_GPU_MEMORY_UTILIZATION, (total - free) / total, gpu.attributes)


def _power(nvml: Any, gpu: _Gpu) -> Iterator[Reading]:
    milliwatts = int(nvml.nvmlDeviceGetPowerUsage(gpu.handle))
    if milliwatts not in _NOT_AVAILABLE:
        yield Reading(semconv.HW_POWER, milliwatts / 1000, {**gpu.attributes, semconv.HW_TYPE: "gpu"})


def _power_limit(nvml: Any, gpu: _Gpu) -> Iterator[Reading]:
    milliwatts = int(nvml.nvmlDeviceGetEnforcedPowerLimit(gpu.handle))
    if milliwatts not in _NOT_AVAILABLE:
        yield Reading(semconv.GPU_POWER_LIMIT, milliwatts / 1000, gpu.attributes)


def _energy(nvml: Any, gpu: _Gpu) -> Iterator[Reading]:
    millijoules = int(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle))
    if millijoules not in _NOT_AVAILABLE:
        yield Reading(semconv.HW_ENERGY, millijoules / 1000, {**gpu.attributes, semconv.HW_TYPE: "gpu"})


def _temperature(nvml: Any, gpu: _Gpu) -> Iterator[Reading]:
    degrees = int(_degrees(nvml, gpu))
    if degrees not in _NOT_AVAILABLE:
        uuid = gpu.attributes[semconv.HW_ID]
        attributes = {
            semconv.HW_ID: f"{uuid}/temperature",
            semconv.HW_PARENT: uuid,
            semconv.HW_SENSOR_LOCATION: "gpu",
        }
        yield Reading(semconv.HW_TEMPERATURE, float(degrees), attributes)


def _degrees(nvml: Any, gpu: _Gpu) -> Any:
    """The newer call, or on drivers and bindings without it the one that CUDA 14 will drop; the choice is kept."""
    if "temperature v" not in gpu.unsupported:
        try:
            return nvml.nvmlDeviceGetTemperatureV(gpu.handle, 0)
        except AttributeError:
            gpu.unsupported.add("temperature v")
        except nvml.NVMLError as error:
            if _KINDS.get(error.value) != "unsupported":
                raise
            gpu.unsupported.add("temperature v")
    return nvml.nvmlDeviceGetTemperature(gpu.handle, 0)


def _status(gpu: _Gpu) -> Iterator[Reading]:
    for state, is_current in (("ok", gpu.handle is not None), ("failed", gpu.handle is None)):
        attributes = {**gpu.attributes, semconv.HW_TYPE: "gpu", semconv.HW_STATE: state}
        yield Reading(semconv.HW_STATUS, int(is_current), attributes)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


_CALLS: Final[dict[str, Callable[[Any, _Gpu], Iterator[Reading]]]] = {
    "utilization": _utilization,
    "memory": _memory,
    "power": _power,
    "power limit": _power_limit,
    "energy": _energy,
    "temperature": _temperature,
}
