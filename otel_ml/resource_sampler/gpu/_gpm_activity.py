"""GPM activity of Hopper and later: the difference of two samples, for whole GPUs and for MIG instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from otel_ml import semconv
from otel_ml.resource_sampler._source import Reading
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._nvml import CallFailed, Nvml

SHORTEST_SECONDS: Final = 0.1
"""The least time that the driver's counters need between two samples."""
LONGEST_SECONDS: Final = 600.0
"""A difference over a longer time does not describe the present."""

_METRICS: Final = (
    (2, semconv.GPU_SM_ACTIVITY),
    (3, semconv.GPU_SM_OCCUPANCY),
    (5, semconv.GPU_TENSOR_ACTIVITY),
    (10, semconv.GPU_DRAM_ACTIVITY),
)
METRICS: Final = tuple(metric for _, metric in _METRICS)


class Gpm:
    """The two samples of one device; the first tick has no readings.

    Args:
        nvml: The driver library.
        identity: The device.
        handle: The GPU, or for an instance its parent.
        slice_id: The GPU instance, None for a whole GPU.
        clock: Monotonic seconds.
    """

    def __init__(
        self, nvml: Nvml, identity: DeviceIdentity, handle: Any, slice_id: int | None, clock: Callable[[], float]
    ) -> None:
        self._nvml = nvml
        self._identity = identity
        self._handle = handle
        self._slice = slice_id
        self._clock = clock
        self._samples: list[Any] = []
        """The older and the newer one, used in turns."""
        self._taken_at: float | None = None

    def read(self) -> Iterator[Reading]:
        """Shares of the time since the last tick.

        Raises:
            CallFailed: The device has no GPM, or the driver did not answer.
        """
        if not self._samples:
            if not self._nvml.call("nvmlGpmQueryDeviceSupport", self._handle).isSupportedDevice:
                raise CallFailed("unsupported", 3, "no GPM before Hopper")
            for _ in range(2):
                self._samples.append(self._nvml.call("nvmlGpmSampleAlloc"))
        now = self._clock()
        elapsed = None if self._taken_at is None else now - self._taken_at
        if elapsed is not None and elapsed < SHORTEST_SECONDS:
            return
        self._taken_at = None
        older, newer = self._samples
        if self._slice is None:
            self._nvml.call("nvmlGpmSampleGet", self._handle, older)
        else:
            self._nvml.call("nvmlGpmMigSampleGet", self._handle, self._slice, older)
        self._samples = [newer, older]
        self._taken_at = now
        if elapsed is not None and elapsed <= LONGEST_SECONDS:
            yield from self._difference()

    def release(self) -> None:
        """Frees the samples; they must not outlive the library's shutdown."""
        samples, self._samples, self._taken_at = self._samples, [], None
        for sample in samples:
            try:
                self._nvml.call("nvmlGpmSampleFree", sample)
            except CallFailed:  # noqa: PERF203 - the driver may be gone
                continue

    def _difference(self) -> Iterator[Reading]:
        request = self._nvml.new("c_nvmlGpmMetricsGet_t")
        request.version = self._nvml.constant("NVML_GPM_METRICS_GET_VERSION", 1)
        request.numMetrics = len(_METRICS)
        request.sample1, request.sample2 = self._samples
        for place, (number, _) in enumerate(_METRICS):
            request.metrics[place].metricId = number
        try:
            self._nvml.call("nvmlGpmMetricsGet", request)
        except CallFailed as failed:
            if failed.kind not in {"lost", "driver"}:
                raise
            # the call takes no GPU handle: such an error is about the samples
            raise CallFailed("failed", failed.code, failed.detail) from None
        for place, (_, metric) in enumerate(_METRICS):
            answer = request.metrics[place]
            if answer.nvmlReturn == 0 and 0.0 <= answer.value <= 100.0:
                yield Reading(metric, answer.value / 100, self._identity.base)
