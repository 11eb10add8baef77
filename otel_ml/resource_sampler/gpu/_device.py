"""One GPU or MIG instance: its identity, and which of its calls are worth making at a fast and at a slow tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from otel_ml import semconv
from otel_ml.resource_sampler._counters import DeviceCounters
from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.gpu._field_batch import FieldBatch
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._nvml import INVALID_ARGUMENT, UNKNOWN, CallFailed, Nvml
from otel_ml.resource_sampler.gpu._slow_readings import CLEARLY_BUSY, SlowReadings

Step = Callable[[], Iterable[Reading | Gap]]

_UNKNOWN_IN_A_ROW: Final = 3
""""Unknown" answers in a row after which a GPU is lost: a container without access to its device gets them."""
_NO_VALUE: Final = frozenset({(1 << 32) - 1, (1 << 64) - 1})
"""All ones is the driver's code for "no value"."""
_MISSES: Final = 2
"""Readings without a sample after which the driver's own utilization is read instead."""


class Device:
    """What is common to a GPU and a MIG instance: steps that fail alone, and the memory that both have."""

    def __init__(self, nvml: Nvml, identity: DeviceIdentity, handle: Any) -> None:
        self.nvml = nvml
        self.identity = identity
        self.handle = handle
        """None while the device is lost."""
        self.memory_used: int | None = None
        """Bytes allocated, without what the driver reserves; for the process that has the device to itself."""
        self._unsupported: dict[str, Gap] = {}
        self._refused: dict[str, Gap] = {}
        self._worked: set[str] = set()
        self._unknown_in_a_row = 0

    def reopen(self, handle: Any) -> None:
        """For a device that is back: everything is tried again."""
        self.handle = handle
        self._unsupported.clear()
        self._refused.clear()
        self._worked.clear()
        self._unknown_in_a_row = 0

    def ask_refused_again(self) -> None:
        """Permissions may have changed: retries the calls that were refused."""
        self._refused.clear()

    @property
    def is_stripped(self) -> bool:
        """Whether it was given up after only unknown errors."""
        return self._unknown_in_a_row >= _UNKNOWN_IN_A_ROW

    def run(self, what: str, step: Step) -> Iterator[Reading | Gap]:
        """One step; a call that fails is a gap, and is not repeated where that is pointless.

        Raises:
            CallFailed: The GPU ("lost") or the whole driver ("driver") is gone.
        """
        known_gap = self._unsupported.get(what) or self._refused.get(what)
        if known_gap is not None:
            yield known_gap
            return
        try:
            yield from step()
            self._worked.add(what)
            self._unknown_in_a_row = 0
        except CallFailed as failed:
            yield self._gap(what, failed)

    def memory(self) -> Iterator[Reading]:
        """`hw.gpu.memory.*`: used is total minus free, so that reserved memory counts whatever the driver's version."""
        memory = self._memory_info()
        total, free = int(memory.total), int(memory.free)
        self.memory_used = None
        if not 0 <= free <= total or total == 0 or total in _NO_VALUE:
            return
        reserved = int(getattr(memory, "reserved", 0))
        # the header contradicts itself on whether used includes reserved: only figures that add up are used
        is_separate = int(memory.used) + reserved + free == total
        self.memory_used = int(memory.used) if is_separate else total - free
        yield Reading(semconv.HW_GPU_MEMORY_USAGE, total - free, self.identity.base)
        yield Reading(semconv.HW_GPU_MEMORY_LIMIT, total, self.identity.base)
        yield Reading(semconv.HW_GPU_MEMORY_UTILIZATION, (total - free) / total, self.identity.base)

    def _memory_info(self) -> Any:
        version = self.nvml.constant("nvmlMemory_v2", 0)
        if version and "memory v2" not in self._unsupported:
            try:
                return self.nvml.call("nvmlDeviceGetMemoryInfo", self.handle, version)
            except CallFailed as failed:
                if failed.kind != "unsupported":
                    raise
                self._unsupported["memory v2"] = Gap("memory v2", "unsupported")
        return self.nvml.call("nvmlDeviceGetMemoryInfo", self.handle)

    def _gap(self, what: str, failed: CallFailed) -> Gap:
        kind = failed.kind
        if kind == "driver":
            raise failed
        if failed.code == INVALID_ARGUMENT and what not in self._worked:
            kind = "unsupported"  # only from a handle that served this call before does it mean a stale handle
        if kind == "lost":
            raise failed
        if failed.code == UNKNOWN:
            self._unknown_in_a_row += 1
            if self.is_stripped:
                raise CallFailed("lost", UNKNOWN, failed.detail)
        gap = Gap(f"{self.identity.name} {what}", kind, failed.detail)
        if kind == "unsupported":
            self._unsupported[what] = gap
        elif kind == "permission":
            self._refused[what] = gap
        return gap


class Gpu(Device):
    """A whole GPU; as the parent of MIG instances it keeps only what belongs to the card."""

    def __init__(self, nvml: Nvml, identity: DeviceIdentity, handle: Any, counters: DeviceCounters) -> None:
        super().__init__(nvml, identity, handle)
        self.is_mig_parent = False
        self.batch = FieldBatch(counters)
        self.slow = SlowReadings(self)
        self._slow_items: list[Reading | Gap] = []
        self._sampled_until = 0
        self._samples_missed = 0
        self._busiest = 0.0
        self.is_idle_wrong = False
        """Whether the driver returns 0 for a busy share that it cannot measure."""

    def reopen(self, handle: Any) -> None:
        """For a GPU that is back: everything is tried again."""
        super().reopen(handle)
        self.batch.probe_again()
        self.slow = SlowReadings(self)
        self._slow_items = []
        self._samples_missed = 0

    def read(self, *, slow: bool, generation: int, others: Iterable[tuple[str, Step]] = ()) -> Iterator[Reading | Gap]:
        """One tick: at most three calls, then the slow tier's last figures or, in a slow tick, its new ones.

        Raises:
            CallFailed: The GPU ("lost") or the whole driver ("driver") is gone.
        """
        if slow:
            self.ask_refused_again()
            self._slow_items = []
            self._samples_missed = min(self._samples_missed, _MISSES - 1)
        has_share = self.is_mig_parent
        if not self.is_mig_parent:
            if self._samples_missed < _MISSES and "utilization samples" not in self._unsupported:
                for item in self.run("utilization samples", self._samples):
                    has_share = has_share or isinstance(item, Reading)
                    yield item
            elif not slow:
                yield from self.run("utilization", lambda: self.slow.rates(general=True, activity=False))
            yield from self.run("memory", self.memory)
        yield from self.run("field values", lambda: self._fields(slow=slow, generation=generation))
        if not slow:
            yield from self._slow_items
            return
        for what, step in (*self.slow.steps(general=not has_share), *others):
            for item in self.run(what, step):
                yield item
                if not _is_busy_share(item):  # each tick has its own
                    self._slow_items.append(item)

    def busy(self, share: float) -> Iterator[Reading]:
        """`hw.gpu.utilization` of the whole GPU."""
        self._busiest = max(self._busiest, share)
        if share:
            self.is_idle_wrong = False
        if not self.is_idle_wrong:
            tags = self.identity.tags((semconv.HW_GPU_TASK, "general"))
            yield Reading(semconv.HW_GPU_UTILIZATION, share, tags)

    def compare(self, percent: int) -> None:
        """Compares the busiest process since the last slow tick with the GPU's own figures.

        Some drivers return 0 with success for a share that they cannot measure; then 0 is not reported.
        """
        if percent >= CLEARLY_BUSY and self._busiest == 0:
            self.is_idle_wrong = True
        self._busiest = 0.0

    def status(self) -> Iterator[Reading]:
        """`hw.status`, one point a state."""
        state = "ok"
        if self.handle is None:
            state = "failed"
        elif self.slow.is_slowed_down or self.batch.wants_recovery:
            state = "degraded"
        elif self.batch.pending:
            state = "predicted_failure"
        yield from self.identity.status(state)

    def _samples(self) -> Iterator[Reading]:
        self._samples_missed += 1
        samples = self.nvml.utilization_samples(self.handle, self._sampled_until)
        self._sampled_until = samples.newest
        if samples.mean is not None:
            self._samples_missed = 0
            yield from self.busy(samples.mean)

    def _fields(self, *, slow: bool, generation: int) -> Iterator[Reading | Gap]:
        asked = self.batch.ask(slow=slow)
        values = self.nvml.fields(self.handle, asked) if asked else []
        yield from self.batch.readings(values, self.identity, generation)


def _is_busy_share(item: Reading | Gap) -> bool:
    if isinstance(item, Gap) or item.metric is not semconv.HW_GPU_UTILIZATION:
        return False
    return item.attributes[semconv.HW_GPU_TASK] == "general"
