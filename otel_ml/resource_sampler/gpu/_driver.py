"""The driver and its GPUs over time: missing, found, lost, reloaded, plugged in; one log line for each change."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from otel_ml.resource_sampler._counters import DeviceCounters
from otel_ml.resource_sampler._source import Gap, Reading, Report
from otel_ml.resource_sampler.gpu._attribution import Ladder
from otel_ml.resource_sampler.gpu._device import Device, Gpu
from otel_ml.resource_sampler.gpu._identity import Identity
from otel_ml.resource_sampler.gpu._mig import Instance
from otel_ml.resource_sampler.gpu._nvml import MISMATCH, CallFailed, Nvml
from otel_ml.resource_sampler.gpu._slot import Backoff, Settings, Slot
from otel_ml.resource_sampler.gpu._xid_events import Watcher, XidCounts

MAX_GPUS: Final = 64

_LOG: Final = logging.getLogger("otel_ml")


class Driver:
    """Everything that is done with NVML; all of it on one thread."""

    def __init__(self, nvml: Nvml, ladder: Ladder, xids: XidCounts, settings: Settings) -> None:
        self._nvml = nvml
        self._ladder = ladder
        self._xids = xids
        self._settings = settings
        self._clock = settings.clock
        self._counters = DeviceCounters()
        self._slots: dict[str, Slot] = {}
        self._watcher: Watcher | None = None
        self._must_watch = True
        """Whether the set of watched GPUs is not the one that it should be."""
        self._missing: Gap | None = None
        """Why there is no driver; None while there is one, and before the first try."""
        self._is_ready = False
        self._was_ready = False
        self._version: str | None = None
        self._generation = 0
        """Rises when the driver is known to have been loaded anew."""
        self._retry_driver = Backoff(settings)
        self._steady_since = float("-inf")
        """Since when the driver has been there; one that comes and goes is asked less and less often."""
        self._retry_gpus = Backoff(settings)
        self._slow_at = float("-inf")
        self._listed: frozenset[str] | None = None

    def read(self) -> Report:
        """One tick; a GPU that fails does not stop the others."""
        items: list[Reading | Gap] = []
        if not self._is_ready and self._retry_driver.is_due:
            self._start()
        if self._is_ready:
            try:
                if self._lost() and self._retry_gpus.is_due:
                    items.extend(self._take_up_all())
                slow = self._is_layout_changed() or self._clock() >= self._slow_at
                if slow:
                    items.extend(self._survey())
                    self._slow_at = self._clock() + self._settings.slow
                items.extend(self._read_all(slow=slow))
                self._confirm()
            except CallFailed as failed:
                self._lose_driver(failed)
        for slot in self._slots.values():
            items.extend(slot.gpu.status())
        if self._missing is not None:
            items.append(self._missing)
        readings = tuple(item for item in items if isinstance(item, Reading))
        return Report(readings, tuple(item for item in items if isinstance(item, Gap)))

    def close(self) -> None:
        """Frees what the library gave and shuts it down; a later `read` begins anew."""
        if self._is_ready:
            self._shut_down()
        self._slots = {}
        self._missing = None
        self._was_ready = False
        self._retry_driver.reset()
        self._slow_at = float("-inf")

    # --- the driver --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        try:
            self._nvml.start()
            self._is_ready = True
            self._count()
            self._recognise()
        except CallFailed as failed:
            self._lose_driver(failed)
            return
        self._retry_gpus.reset()
        self._slow_at = float("-inf")
        self._listed = self._list()

    def _confirm(self) -> None:
        """Only a whole tick without a loss shows that the driver is there: it may be initialised and yet fail."""
        if self._missing is not None:
            self._steady_since = self._clock()
            _LOG.info("otel-ml: the NVIDIA driver answers: GPU readings begin")
        self._missing = None
        self._was_ready = True
        if self._clock() - self._steady_since >= self._settings.retry:
            self._retry_driver.reset()

    def _recognise(self) -> None:
        """Another driver version means that all of its counters have begun again."""
        try:
            version = str(self._nvml.call("nvmlSystemGetDriverVersion"))
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            return
        if self._version not in {None, version}:
            self._generation += 1
        self._version = version

    def _lose_driver(self, failed: CallFailed) -> None:
        self._shut_down()
        self._retry_driver.fail()
        if self._missing is None:
            if self._was_ready:
                hint = "; restart this process to use the new driver" if failed.code == MISMATCH else ""
                text = "otel-ml: the NVIDIA driver is gone (%s): GPU readings are absent until it is back%s"
                _LOG.warning(text, failed.detail, hint)
            else:
                _LOG.info("otel-ml: no NVIDIA GPU can be read (%s): GPU readings are absent", failed.detail)
        self._missing = Gap("nvml", "driver", failed.detail)

    def _shut_down(self) -> None:
        """No call may be in flight: a watching thread that does not end keeps the library initialised."""
        for slot in self._slots.values():
            slot.release()
            slot.gpu.handle = None
            slot.mig.forget()
        watcher, self._watcher = self._watcher, None
        may_shut_down = watcher is None or watcher.stop()
        if self._is_ready and may_shut_down:
            try:
                self._nvml.call("nvmlShutdown")
            except CallFailed:  # it may be gone already
                pass
        self._is_ready = False
        self._must_watch = True

    def _count(self) -> int:
        count = int(self._nvml.call("nvmlDeviceGetCount"))
        if count == 0:  # a broken device mount looks like this: not the same as idle
            raise CallFailed("driver", None, "the driver shows no GPU")
        return count

    # --- its GPUs ----------------------------------------------------------------------------------------------------

    def _survey(self) -> Iterator[Gap]:
        """The slow look around: GPUs that came or went, instances that were rebuilt, a watcher that failed."""
        listed = self._list()
        if listed != self._listed and self._listed is not None:
            # the library counts what there was when it was initialised
            self._listed = listed
            self._shut_down()
            self._nvml.start()
            self._is_ready = True
        if self._count() != len(self._slots):
            yield from self._take_up_all()
        for slot in self._slots.values():
            if slot.gpu.handle is not None:
                yield from self._update_instances(slot)
        self._ladder.keep({device.identity.uuid for device in self._devices()})
        if self._must_watch or (self._watcher is not None and self._watcher.has_failed):
            self._watch()

    def _take_up_all(self) -> Iterator[Gap]:
        count = self._count()
        seen: set[str] = set()
        for index in range(min(count, MAX_GPUS)):
            try:
                seen.add(self._take_up(index))
            except CallFailed as failed:  # noqa: PERF203 - one GPU must not spoil the next
                if failed.kind == "driver":
                    raise
                yield Gap(f"gpu {index}", failed.kind, failed.detail)
        for slot in self._slots.values():
            if slot.gpu.handle is not None and slot.gpu.identity.uuid not in seen:
                self._lose(slot, CallFailed("lost", None, "the driver lists it no more"))
        if self._lost():
            self._retry_gpus.fail()
        if count > MAX_GPUS:
            yield Gap("gpu", "capped", f"{count - MAX_GPUS} of {count} GPUs left out")

    def _take_up(self, index: int) -> str:
        handle = self._nvml.call("nvmlDeviceGetHandleByIndex", index)
        uuid = str(self._nvml.call("nvmlDeviceGetUUID", handle))
        if not uuid:
            raise CallFailed("malformed", None, "its UUID is empty")
        slot = self._slots.get(uuid)
        if slot is None:
            if len(self._slots) < MAX_GPUS:
                identity = Identity(uuid, f"GPU {index}", str(self._nvml.call("nvmlDeviceGetName", handle)))
                gpu = Gpu(self._nvml, identity, handle, self._counters)
                self._slots[uuid] = Slot(gpu, self._settings)
                self._xids.expect(identity)
                self._begin(self._slots[uuid])
        elif slot.gpu.handle is None:
            slot.gpu.take_up(handle)
            self._begin(slot)
        return uuid

    def _begin(self, slot: Slot) -> None:
        """Its slow figures are wanted at once, and its events."""
        self._slow_at = float("-inf")
        self._must_watch = True
        slot.mig.forget()

    def _lose(self, slot: Slot, failed: CallFailed) -> None:
        gpu = slot.gpu
        gpu.handle = None
        slot.release()
        slot.mig.forget()
        self._must_watch = True
        self._retry_gpus.fail()
        if slot.is_reported:
            return
        slot.is_reported = True
        hint = "; if this container lost its access to the device, recreate it" if gpu.is_stripped else ""
        text = "otel-ml: GPU %s is lost (%s): its readings are absent until it is back%s"
        _LOG.warning(text, gpu.identity.uuid, failed.detail, hint)

    def _lost(self) -> bool:
        return any(slot.gpu.handle is None for slot in self._slots.values())

    def _devices(self) -> Sequence[Device]:
        return [device for slot in self._slots.values() for device in slot.devices]

    def _read_all(self, *, slow: bool) -> Iterator[Reading | Gap]:
        devices = self._devices()
        is_sole = len(devices) == 1
        for slot in self._slots.values():
            if slot.gpu.handle is None:
                continue
            try:
                items = list(self._read_slot(slot, slow=slow, is_sole=is_sole))
            except CallFailed as failed:
                if failed.kind == "driver":
                    raise
                self._lose(slot, failed)
                yield Gap(slot.gpu.identity.name, failed.kind, failed.detail)
                continue
            if slot.is_reported:
                slot.is_reported = False
                self._retry_gpus.reset()
                _LOG.info("otel-ml: GPU %s is back", slot.gpu.identity.uuid)
            yield from items
        yield from self._ladder.models(devices)

    def _read_slot(self, slot: Slot, *, slow: bool, is_sole: bool) -> Iterator[Reading | Gap]:
        gpu = slot.gpu
        others = () if gpu.is_mig_parent else self._ladder.steps(gpu, is_sole=is_sole)
        yield from gpu.read(slow=slow, generation=self._generation, others=others)
        for instance in slot.mig.instances.values():
            yield from instance.read(slow=slow, others=self._ladder.steps(instance, is_sole=is_sole))
            if instance.is_stale:
                self._slow_at = float("-inf")
        if self._settings.gpm:
            for device in slot.devices:
                yield from self._read_gpm(slot, device)

    def _read_gpm(self, slot: Slot, device: Device) -> Iterator[Reading | Gap]:
        if not isinstance(device, Instance):
            yield from device.run("GPM", slot.gpm_of(device).read)
        elif not device.is_stale:
            try:
                yield from device.run("GPM", slot.gpm_of(device).read)
            except CallFailed as failed:
                if failed.kind == "driver":
                    raise
                # an instance that is gone is no lost GPU
                device.is_stale = True
                self._slow_at = float("-inf")

    # --- instances and events ----------------------------------------------------------------------------------------

    def _is_layout_changed(self) -> bool:
        watcher = self._watcher
        if watcher is None or not watcher.layout_changed.is_set():
            return False
        watcher.layout_changed.clear()
        return True

    def _update_instances(self, slot: Slot) -> Iterator[Gap]:
        was_known = bool(slot.mig.instances) or slot.gpu.is_mig_parent
        try:
            is_changed = slot.mig.update()
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            self._lose(slot, failed)
            yield Gap(slot.gpu.identity.name, failed.kind, failed.detail)
            return
        if is_changed:
            slot.release(frozenset(device.identity.uuid for device in slot.devices))
            if was_known:
                text = "otel-ml: the MIG instances of GPU %s were rebuilt: %d now"
                _LOG.info(text, slot.gpu.identity.uuid, len(slot.mig.instances))

    def _watch(self) -> None:
        if self._watcher is not None and not self._watcher.stop():
            return
        handles: dict[str, Any] = {
            uuid: slot.gpu.handle for uuid, slot in self._slots.items() if slot.gpu.handle is not None
        }
        self._watcher = Watcher(self._nvml, self._xids, self._settings.poll)
        self._watcher.start(handles)
        self._must_watch = False

    def _list(self) -> frozenset[str] | None:
        """The GPUs that the kernel module knows; None where /proc does not say."""
        folder = self._settings.proc / "driver" / "nvidia" / "gpus"
        try:
            return frozenset(entry.name for entry in folder.iterdir())
        except OSError:
            return None
