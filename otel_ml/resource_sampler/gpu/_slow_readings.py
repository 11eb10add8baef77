"""The slow tier of a GPU: calls that change little or cost much, every half minute or so.

It is a part of `_device.Gpu` and refers to it, for the handle of the device and what is known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from otel_ml import semconv
from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.gpu._nvml import CallFailed

if TYPE_CHECKING:
    from otel_ml.resource_sampler.gpu._device import Gpu

Step = Callable[[], Iterable[Reading | Gap]]

MAX_FANS: Final = 16
CLEARLY_BUSY: Final = 5
"""Percent of the time in which a GPU works, from which on a figure of 0 beside it is suspect."""

_SENSOR: Final = 0
_DEGREES: Final = range(-50, 200)
"""What a sensor can mean."""
_NO_DEGREES: Final = frozenset({0, -1})
"""With success, yet no temperature: a sensor that is not there, and all ones."""
_LIMITS: Final = (("high.degraded", 1), ("high.critical", 0))
"""Slowdown and shutdown among the temperature thresholds."""
_CLOCKS: Final = (("graphics", 0), ("sm", 1), ("memory", 2), ("video", 3))
_MAX_MEGAHERTZ: Final = 100_000
_MAX_MILLIWATTS: Final = 100_000_000
_REASONS: Final = {
    "sw_power_cap": 0x04,
    "hw_slowdown": 0x08,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
}
"""Bits of the clock event reasons that are throttling: an idle GPU and chosen application clocks are not."""
_HARDWARE: Final = 0x08 | 0x40 | 0x80


class SlowReadings:
    """The slow calls of one GPU, and what they found out about it."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._nvml = gpu.nvml
        self._identity = gpu.identity
        self._fans: int | None = None
        self._limits: list[Reading] | None = None
        self._is_old: set[str] = set()
        """Newer functions that this driver or binding lacks."""
        self._has_memory_activity = False
        """Whether the driver has ever measured one; some return 0 with success."""
        self.is_slowed_down = False
        """Whether the hardware holds the clocks down."""

    def steps(self, *, general: bool) -> Iterator[tuple[str, Step]]:
        """The calls to make, by what they read; `general` asks for the GPU's busy share too."""
        gpu = self._gpu
        if not gpu.is_mig_parent:
            yield "utilization", lambda: self.rates(general=general, activity=True)
            yield "encoder", lambda: self._coder("encoder", "nvmlDeviceGetEncoderUtilization")
            yield "decoder", lambda: self._coder("decoder", "nvmlDeviceGetDecoderUtilization")
        yield "temperature", self._temperature
        yield "temperature limits", self._temperature_limits
        for domain, number in _CLOCKS:
            yield f"{domain} clock", lambda domain=domain, number=number: self._clock(domain, number)  # type: ignore[misc]
        yield "fans", self._fan_speeds
        yield "clock event reasons", self._clock_reasons
        if "power" not in gpu.batch.has:
            yield "power", lambda: self._power(semconv.HW_POWER, "nvmlDeviceGetPowerUsage")
        if "power limit" not in gpu.batch.has:
            yield "power limit", lambda: self._power(semconv.GPU_POWER_LIMIT, "nvmlDeviceGetEnforcedPowerLimit")

    def rates(self, *, general: bool, activity: bool) -> Iterator[Reading]:
        """The driver's own window of under a second: the GPU's busy share, and that of its memory controller."""
        rates = self._nvml.call("nvmlDeviceGetUtilizationRates", self._gpu.handle)
        if general and 0 <= int(rates.gpu) <= 100:
            yield from self._gpu.busy(int(rates.gpu) / 100)
        percent = int(rates.memory)
        if activity and 0 <= percent <= 100:
            yield from self._memory_activity(percent, is_busy=self._gpu.is_idle_wrong or rates.gpu >= CLEARLY_BUSY)

    def _memory_activity(self, percent: int, *, is_busy: bool) -> Iterator[Reading]:
        self._has_memory_activity = self._has_memory_activity or percent > 0
        if self._has_memory_activity or not is_busy:
            yield Reading(semconv.GPU_MEMORY_ACTIVITY, percent / 100, self._identity.base)

    def _coder(self, task: str, function: str) -> Iterator[Reading]:
        share = int(self._nvml.call(function, self._gpu.handle)[0])
        if 0 <= share <= 100:
            yield Reading(semconv.HW_GPU_UTILIZATION, share / 100, self._identity.tags((semconv.HW_GPU_TASK, task)))

    def _temperature(self) -> Iterator[Reading]:
        # CUDA 14 drops the older call, drivers before 580 lack the newer one
        degrees = self._newer("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", _SENSOR)
        if degrees in _DEGREES and degrees not in _NO_DEGREES:
            yield Reading(semconv.HW_TEMPERATURE, float(degrees), self._identity.tags(sensor="gpu"))

    def _temperature_limits(self) -> Iterator[Reading | Gap]:
        if self._limits is None:
            limits, gap = [], None
            for kind, number in _LIMITS:
                try:
                    degrees = int(self._nvml.call("nvmlDeviceGetTemperatureThreshold", self._gpu.handle, number))
                except CallFailed as failed:
                    if failed.kind in {"lost", "driver"} and failed.code != 2:
                        raise
                    gap = Gap(f"{self._identity.name} temperature limit {kind}", "unsupported", failed.detail)
                    continue
                if degrees in _DEGREES and degrees > 0:
                    tags = self._identity.tags((semconv.HW_LIMIT_TYPE, kind), sensor="gpu")
                    limits.append(Reading(semconv.HW_TEMPERATURE_LIMIT, float(degrees), tags))
            self._limits = limits
            if gap is not None:
                yield gap
        yield from self._limits

    def _clock(self, domain: str, number: int) -> Iterator[Reading]:
        megahertz = int(self._nvml.call("nvmlDeviceGetClockInfo", self._gpu.handle, number))
        if 0 < megahertz < _MAX_MEGAHERTZ:
            tags = self._identity.tags((semconv.GPU_CLOCK_DOMAIN, domain))
            yield Reading(semconv.GPU_CLOCK_FREQUENCY, megahertz * 1e6, tags)

    def _fan_speeds(self) -> Iterator[Reading]:
        if self._fans is None:
            self._fans = min(int(self._nvml.call("nvmlDeviceGetNumFans", self._gpu.handle)), MAX_FANS)
        for number in range(self._fans):
            percent = int(self._nvml.call("nvmlDeviceGetFanSpeed_v2", self._gpu.handle, number))
            if 0 <= percent <= 200:
                tags = self._identity.tags(sensor=f"fan{number}")
                yield Reading(semconv.HW_FAN_SPEED_RATIO, percent / 100, tags)

    def _clock_reasons(self) -> Iterator[Reading]:
        self.is_slowed_down = False
        newer, older = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
        reasons = self._newer(newer, older)
        self.is_slowed_down = bool(reasons & _HARDWARE)
        if not self._gpu.batch.has_throttle_time:  # at a tick every ten seconds this misses most of it
            for reason, bit in _REASONS.items():
                tags = self._identity.tags((semconv.GPU_THROTTLE_REASON, reason))
                yield Reading(semconv.GPU_THROTTLE_ACTIVE, int(bool(reasons & bit)), tags)

    def _power(self, metric: semconv.Metric, function: str) -> Iterator[Reading]:
        milliwatts = int(self._nvml.call(function, self._gpu.handle))
        if 0 < milliwatts < _MAX_MILLIWATTS:
            tags = self._identity.tags((semconv.HW_TYPE, "gpu")) if metric is semconv.HW_POWER else self._identity.base
            yield Reading(metric, milliwatts / 1000, tags)

    def _newer(self, newer: str, older: str, *arguments: int) -> int:
        if newer not in self._is_old:
            try:
                return int(self._nvml.call(newer, self._gpu.handle, *arguments))
            except CallFailed as failed:
                if failed.kind != "unsupported":
                    raise
                self._is_old.add(newer)
        return int(self._nvml.call(older, self._gpu.handle, *arguments))
