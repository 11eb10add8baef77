"""All access to NVIDIA's driver library: timed calls by name, and classified errors."""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from otel_ml import _extras
from otel_ml.resource_sampler._source import GapKind

UNKNOWN: Final = 999
INVALID_ARGUMENT: Final = 2
MISMATCH: Final = 18
"""The library in this process and the driver that is loaded now are of different versions."""
FIELD_LATENCY: Final = "nvmlDeviceGetFieldValues/latencyUsec"
"""The name for the time of the slowest field of a batch, as the driver reports it."""
ALL_LINKS: Final = 0xFFFFFFFF
"""Scope of a field that sums all NVLinks."""

_UINT, _SIGNED_INT, _SIGNED_LONG, _DOUBLE, _SHORT = 1, 5, 4, 0, 6
_BITS: Final = {_UINT: 32, _SIGNED_INT: 32, _SHORT: 16, 2: 64, 3: 64, _SIGNED_LONG: 64}
"""Width of a field's value by its `valueType`; unsigned long is 64 bits on Linux."""
_FIELD: Final = struct.Struct("=IIqqIIQ")
"""nvmlFieldValue_t: field, scope, timestamp, latency in microseconds, type of the value, return code, value."""
_GPU_UTILIZATION_SAMPLES: Final = 1
_SAMPLE_BYTES: Final = 16
_PROCESS: Final = struct.Struct("=I4xQII")
"""nvmlProcessInfo_t, version 3: id, bytes, GPU and compute instance."""
_UTILIZATION: Final = struct.Struct("=I4xQIIII")
"""nvmlProcessUtilizationSample_t: id, timestamp, shares of SM, memory, encoder and decoder."""
_BUFFER_BYTES: Final = 1 << 16
"""Room for 4096 samples, or for 2048 processes and more."""
_INSUFFICIENT_SIZE: Final = 7
_GARBAGE: Final = (ValueError, IndexError, OverflowError, MemoryError)
_KINDS: Final[dict[int, GapKind]] = {
    **dict.fromkeys((3, 13, 22, 25, 26), "unsupported"),  # ... function not found, ECC of a vGPU, version, deprecated
    **dict.fromkeys((0, 6, 10, 21, 27), "absent"),  # success with nothing, not found, timeout, no data, not ready
    **dict.fromkeys((4, 17), "permission"),  # no permission, blocked by the operating system
    **dict.fromkeys((INVALID_ARGUMENT, 11, 15, 16, 28), "lost"),  # ... IRQ, GPU lost, reset required, GPU not found
    **dict.fromkeys((1, 9, 12, MISMATCH), "driver"),  # uninitialized, not loaded, mismatch, no library
}
"""Codes of nvml.h by what they mean for the next call; all others are "failed"."""


class CallFailed(Exception):  # noqa: N818 - an outcome, not a bug
    """A driver call that gave no answer."""

    def __init__(self, kind: GapKind, code: int | None, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.code = code
        self.detail = detail


class FieldValue(NamedTuple):
    """One value of a batch: the field, its number (None when unknown), its width, and the driver's return code."""

    field: int
    value: int | float | None
    bits: int
    code: int
    latency: int
    """Microseconds that the driver needed."""


class UtilizationSamples(NamedTuple):
    """Mean busy share of the GPU over the driver's samples (None without any), and the newest sample's timestamp."""

    mean: float | None
    newest: int


class ProcessSample(NamedTuple):
    """What share of a GPU a process had, in percent, at a timestamp in microseconds."""

    pid: int
    stamp: int
    share: int


class Nvml:
    """Calls functions of ``pynvml`` by name; a failed call is a `CallFailed`, and no other exception leaves it.

    Args:
        module: A module with the surface of ``pynvml``; by default nvidia-ml-py, imported by `start`.
        timed: Called with the name and the seconds of each call.
    """

    def __init__(self, module: Any = None, timed: Callable[[str, float], None] | None = None) -> None:
        self._module = module
        self._timed = timed
        self._errors: tuple[type[Exception], ...] = ()
        self._buffer: Any = None

    def start(self) -> None:
        """Imports the binding and initialises the library.

        Raises:
            CallFailed: The binding is missing, is not NVIDIA's, or there is no driver.
        """
        if self._module is None:
            try:
                self._module = _extras.load("pynvml", "gpu", package="nvidia-ml-py")
            except ImportError as failure:
                raise CallFailed("driver", None, str(failure)) from None
        error = getattr(self._module, "NVMLError", None)
        if error is None or not hasattr(self._module, "nvmlInitWithFlags"):
            raise CallFailed("driver", None, "the module pynvml is not nvidia-ml-py: pip install nvidia-ml-py")
        # a missing versioned symbol has its own class; invalid UTF-8 is a ValueError, a wrong count can be anything
        mismatch = getattr(self._module, "NVMLLibraryMismatchError", error)
        self._errors = (error, mismatch, *_GARBAGE)
        self.call("nvmlInit")

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function returns.

        Raises:
            CallFailed: It failed, or this version of the binding does not have it.
        """
        function = getattr(self._module, name, None)
        if function is None:
            raise CallFailed("unsupported", None, f"nvidia-ml-py has no {name}")
        started = time.perf_counter()
        try:
            return function(*arguments)
        except self._errors as error:
            raise self._failed(error) from None
        finally:
            if self._timed is not None:
                self._timed(name, time.perf_counter() - started)

    def constant(self, name: str, default: int) -> int:
        """A number of the binding, or the default where this version lacks it."""
        return int(getattr(self._module, name, default))

    def new(self, name: str) -> Any:
        """A structure of the binding, zeroed.

        Raises:
            CallFailed: This version of the binding does not have it.
        """
        structure = getattr(self._module, name, None)
        if structure is None:
            raise CallFailed("unsupported", None, f"nvidia-ml-py has no {name}")
        return structure()

    def fields(self, handle: Any, wanted: Sequence[tuple[int, int]]) -> list[FieldValue]:
        """Many fields, given as (field, scope), by one call; each has a return code of its own."""
        values = self.call("nvmlDeviceGetFieldValues", handle, wanted)
        # attribute by attribute would cost a thousand times the call
        content = memoryview(values).cast("B")
        if len(content) != _FIELD.size * len(wanted):
            raise CallFailed("unsupported", None, "the binding has another layout of field values")
        answers = [
            FieldValue(field, _number(kind, bits) if code == 0 else None, _BITS.get(kind, 64), code, latency)
            for field, _, _, latency, kind, code, bits in _FIELD.iter_unpack(content)
        ]
        if self._timed is not None and answers:
            self._timed(FIELD_LATENCY, max(answer.latency for answer in answers) / 1e6)
        return answers

    def utilization_samples(self, handle: Any, since: int) -> UtilizationSamples:
        """The GPU's busy share between ticks: the mean of the samples that the driver took after a timestamp.

        The binding asks twice, for the count and for the samples; with our own buffer it is one call.
        """
        kind = ctypes.c_uint(0)
        count = self._fill(
            "nvmlDeviceGetSamples",
            lambda buffer, size: (
                handle,
                ctypes.c_uint(_GPU_UTILIZATION_SAMPLES),
                ctypes.c_ulonglong(since),
                ctypes.byref(kind),
                size,
                buffer,
            ),
            _SAMPLE_BYTES,
        )
        if kind.value not in _BITS:
            raise CallFailed("malformed", None, f"samples of type {kind.value}")
        return _mean(memoryview(self._buffer).cast("B")[: _SAMPLE_BYTES * count], since)

    def processes(self, handle: Any) -> list[tuple[int, int | None]]:
        """The processes that compute on a device, with the bytes that they use; None where those are unknown.

        The binding allocates for as many as the driver claims, however many; here the buffer is fixed.
        """
        name = "nvmlDeviceGetComputeRunningProcesses_v3"
        count = self._fill(name, lambda buffer, size: (handle, size, buffer), _PROCESS.size)
        content = memoryview(self._buffer).cast("B")[: _PROCESS.size * count]
        return [
            (pid, None if memory == (1 << 64) - 1 else memory) for pid, memory, _, _ in _PROCESS.iter_unpack(content)
        ]

    def process_utilization(self, handle: Any, since: int) -> list[ProcessSample]:
        """The newest shares of the processes that were busy after a timestamp."""
        name = "nvmlDeviceGetProcessUtilization"
        count = self._fill(
            name, lambda buffer, size: (handle, buffer, size, ctypes.c_ulonglong(since)), _UTILIZATION.size
        )
        content = memoryview(self._buffer).cast("B")[: _UTILIZATION.size * count]
        return [ProcessSample(pid, stamp, share) for pid, stamp, share, *_ in _UTILIZATION.iter_unpack(content)]

    def _fill(self, name: str, arguments: Callable[[Any, Any], tuple[Any, ...]], width: int) -> int:
        """Lets the library fill the buffer; returns the number of entries of this width.

        Raises:
            CallFailed: It failed, or has more than there is room for.
        """
        library = getattr(self._module, "nvmlLib", None)
        if library is None:
            raise CallFailed("unsupported", None, "the binding does not show its library")
        function = getattr(library, name, None)
        if function is None:
            raise CallFailed("unsupported", 13, f"the library has no {name}")
        if self._buffer is None:
            self._buffer = (ctypes.c_char * _BUFFER_BYTES)()
        room = _BUFFER_BYTES // width
        count = ctypes.c_uint(room)
        started = time.perf_counter()
        code = function(*arguments(self._buffer, ctypes.byref(count)))
        if self._timed is not None:
            self._timed(name, time.perf_counter() - started)
        if code == _INSUFFICIENT_SIZE:
            raise CallFailed("capped", code, f"{count.value} entries, more than {room}")
        if code != 0:
            raise self._failed(self._module.NVMLError(code))
        if count.value > room:
            raise CallFailed("malformed", None, f"{count.value} entries in the place of {room}")
        return count.value

    def _failed(self, error: Exception) -> CallFailed:
        # by value: NVMLError cannot be hashed, and comparing one with a foreign exception raises
        code = getattr(error, "value", None)
        if code is None:
            kind: GapKind = "malformed" if isinstance(error, _GARBAGE) else "unsupported"
            return CallFailed(kind, None, str(error))
        return CallFailed(classify(code), code, str(error))


def classify(code: int) -> GapKind:
    """What a return code means for the next call."""
    return _KINDS.get(code, "failed")


def _number(kind: int, bits: int) -> int | float | None:
    """The value of a union by its type; all ones is the driver's code for "no value"."""
    if kind == _DOUBLE:
        value: float = struct.unpack("=d", struct.pack("=Q", bits))[0]
        return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN
    width = _BITS.get(kind)
    if width is None:
        return None
    raw = bits & ((1 << width) - 1)
    if raw == (1 << width) - 1:
        return None
    return raw - (1 << width) if kind in (_SIGNED_INT, _SIGNED_LONG) and raw >> (width - 1) else raw


def _mean(content: memoryview, since: int) -> UtilizationSamples:
    words = content.cast("Q").tolist()
    newest, total, count = since, 0, 0
    for stamp, word in zip(words[::2], words[1::2], strict=True):
        share = word & 0xFFFFFFFF
        if stamp > since and share <= 100:
            newest, total, count = max(newest, stamp), total + share, count + 1
    return UtilizationSamples(total / count / 100 if count else None, newest)
