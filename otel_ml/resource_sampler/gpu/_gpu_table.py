"""The GPUs of a driver over time: found, lost, back; one log line for each change."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

from otel_ml.resource_sampler._counters import DeviceCounters
from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.gpu._attribution import Attribution
from otel_ml.resource_sampler.gpu._device import Device, Gpu
from otel_ml.resource_sampler.gpu._gpm_activity import Gpm
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._mig_instances import MigInstance, MigLayout
from otel_ml.resource_sampler.gpu._nvml import CallFailed, Nvml
from otel_ml.resource_sampler.gpu._settings import Backoff, GpuSettings
from otel_ml.resource_sampler.gpu._silent_gpus import SilentGpus
from otel_ml.resource_sampler.gpu._xid_events import XidCounts

MAX_GPUS: Final = 64

_LOG: Final = logging.getLogger("otel_ml")


class KnownGpu:
    """A GPU that was ever seen, with its MIG instances and GPM samples."""

    def __init__(self, gpu: Gpu, index: int, address: str, settings: GpuSettings) -> None:
        self.gpu = gpu
        self.index = index
        self.address = address
        """Its PCI address, as the kernel writes it; empty if the driver does not report it."""
        self.mig = MigLayout(gpu.nvml, gpu)
        self.gpm: dict[str, Gpm] = {}
        self.is_reported = False
        """Whether it was logged as lost."""
        self._settings = settings

    @property
    def devices(self) -> list[Device]:
        """What programs can run on: the instances, or the GPU itself."""
        if self.gpu.handle is None:
            return []
        return list(self.mig.instances.values()) if self.gpu.is_mig_parent else [self.gpu]

    def gpm_for(self, device: Device) -> Gpm:
        """The GPM samples of this GPU or of one of its instances."""
        uuid = device.identity.uuid
        if uuid not in self.gpm:
            number = device.slice_id if isinstance(device, MigInstance) else None
            self.gpm[uuid] = Gpm(self.gpu.nvml, device.identity, self.gpu.handle, number, self._settings.clock)
        return self.gpm[uuid]

    def release(self, keep: frozenset[str] = frozenset()) -> None:
        """Frees the samples of devices that are gone."""
        for uuid in [uuid for uuid in self.gpm if uuid not in keep]:
            self.gpm.pop(uuid).release()


class GpuTable:
    """All GPUs that were ever seen, also those that are lost."""

    def __init__(self, nvml: Nvml, attribution: Attribution, xids: XidCounts, settings: GpuSettings) -> None:
        self._nvml = nvml
        self._attribution = attribution
        self._xids = xids
        self._settings = settings
        self._counters = DeviceCounters()
        self._known: dict[str, KnownGpu] = {}
        self.silent = SilentGpus(settings.listed_gpus, is_whole_machine=settings.is_whole_machine)
        self.retry = Backoff(settings)
        """When to look for lost GPUs again."""
        self.is_slow_due = False
        """Whether the slow readings are wanted at the next tick."""
        self.has_changed = True
        """Whether other GPUs than before can send events."""

    def __len__(self) -> int:
        return len(self._known)

    def handles(self) -> dict[str, Any]:
        """Handles of the GPUs that are there, by UUID."""
        return {uuid: known.gpu.handle for uuid, known in self._known.items() if known.gpu.handle is not None}

    def is_any_lost(self) -> bool:
        """Whether a GPU that was seen is gone, or one has never answered."""
        return len(self.silent) > 0 or any(known.gpu.handle is None for known in self._known.values())

    def status(self) -> Iterator[Reading]:
        """`hw.status` of every GPU that was ever seen or should be there."""
        for known in self._known.values():
            yield from known.gpu.status()
        yield from self.silent.status()

    def clear(self) -> None:
        """Forgets all GPUs."""
        self._known = {}
        self.silent.clear()

    def release(self) -> None:
        """Frees everything that came from the driver library."""
        for known in self._known.values():
            known.release()
            known.gpu.handle = None
            known.mig.forget()
        self.has_changed = True

    def open_all(self, count: int) -> Iterator[Gap]:
        """Opens the GPUs that the driver lists, and marks those as lost that it no longer lists."""
        seen: set[str] = set()
        failures: dict[int, CallFailed] = {}
        lost = {known.index for known in self._known.values() if known.gpu.handle is None}
        for index in range(min(count, MAX_GPUS)):
            try:
                seen.add(self._open(index))
            except CallFailed as failed:  # noqa: PERF203 - one GPU must not spoil the next
                if failed.kind == "driver":
                    raise
                if failed.kind == "permission" or index in lost:
                    yield Gap(f"gpu {index}", failed.kind, failed.detail)
                else:
                    failures[index] = failed
        self.silent.update(failures, [known.address for known in self._known.values()])
        for known in self._known.values():
            if known.gpu.handle is not None and known.gpu.identity.uuid not in seen:
                self._mark_lost(known, CallFailed("lost", None, "the driver no longer lists it"))
        if self.is_any_lost():
            self.retry.fail()
        if count > MAX_GPUS:
            yield Gap("gpu", "capped", f"{count - MAX_GPUS} of {count} GPUs left out")

    def _open(self, index: int) -> str:
        handle = self._nvml.call("nvmlDeviceGetHandleByIndex", index)
        uuid = str(self._nvml.call("nvmlDeviceGetUUID", handle))
        if not uuid:
            raise CallFailed("malformed", None, "its UUID is empty")
        known = self._known.get(uuid)
        if known is None:
            if len(self._known) < MAX_GPUS:
                identity = DeviceIdentity(uuid, f"GPU {index}", str(self._nvml.call("nvmlDeviceGetName", handle)))
                gpu = Gpu(self._nvml, identity, handle, self._counters)
                self._known[uuid] = KnownGpu(gpu, index, self._address(handle), self._settings)
                self._xids.expect(identity)
                self._start(self._known[uuid])
        elif known.gpu.handle is None:
            known.gpu.reopen(handle)
            self._start(known)
        return uuid

    def _address(self, handle: Any) -> str:
        try:
            written = self._nvml.call("nvmlDeviceGetPciInfo", handle).busId
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            return ""
        # the driver writes 00000000:0B:00.0, the kernel 0000:0b:00.0
        return (written.decode("ascii", "replace") if isinstance(written, bytes) else str(written)).lower()[-12:]

    def update_instances(self) -> Iterator[Gap]:
        """Looks for MIG instances that were rebuilt."""
        for known in self._known.values():
            if known.gpu.handle is not None:
                yield from self._update_instances(known)
        self._attribution.keep({device.identity.uuid for device in self._devices()})

    def read(self, *, slow: bool, generation: int) -> Iterator[Reading | Gap]:
        """Reads every GPU once; one that fails does not stop the others."""
        devices = self._devices()
        is_sole = len(devices) == 1
        for known in self._known.values():
            if known.gpu.handle is None:
                continue
            try:
                items = list(self._read_gpu(known, slow=slow, generation=generation, is_sole=is_sole))
            except CallFailed as failed:
                if failed.kind == "driver":
                    raise
                self._mark_lost(known, failed)
                yield Gap(known.gpu.identity.name, failed.kind, failed.detail)
                continue
            if known.is_reported:
                known.is_reported = False
                self.retry.reset()
                _LOG.info("otel-ml: GPU %s is back", known.gpu.identity.uuid)
            yield from items
        yield from self._attribution.models(devices)

    def _start(self, known: KnownGpu) -> None:
        """Requests its slow readings and its events at once."""
        self.is_slow_due = True
        self.has_changed = True
        known.mig.forget()

    def _mark_lost(self, known: KnownGpu, failed: CallFailed) -> None:
        gpu = known.gpu
        gpu.handle = None
        known.release()
        known.mig.forget()
        self.has_changed = True
        self.retry.fail()
        if known.is_reported:
            return
        known.is_reported = True
        hint = "; if this container lost its access to the device, recreate it" if gpu.is_stripped else ""
        text = "otel-ml: GPU %s is lost (%s): its readings are absent until it is back%s"
        _LOG.warning(text, gpu.identity.uuid, failed.detail, hint)

    def _devices(self) -> Sequence[Device]:
        return [device for known in self._known.values() for device in known.devices]

    def _read_gpu(self, known: KnownGpu, *, slow: bool, generation: int, is_sole: bool) -> Iterator[Reading | Gap]:
        gpu = known.gpu
        others = () if gpu.is_mig_parent else self._attribution.steps(gpu, is_sole=is_sole)
        yield from gpu.read(slow=slow, generation=generation, others=others)
        for instance in known.mig.instances.values():
            yield from instance.read(slow=slow, others=self._attribution.steps(instance, is_sole=is_sole))
            if instance.is_stale:
                self.is_slow_due = True
        if self._settings.gpm:
            for device in known.devices:
                yield from self._read_gpm(known, device)

    def _read_gpm(self, known: KnownGpu, device: Device) -> Iterator[Reading | Gap]:
        if not isinstance(device, MigInstance):
            yield from device.run("GPM", known.gpm_for(device).read)
        elif not device.is_stale:
            try:
                yield from device.run("GPM", known.gpm_for(device).read)
            except CallFailed as failed:
                if failed.kind == "driver":
                    raise
                # the instance is gone, the GPU is not
                device.is_stale = True
                self.is_slow_due = True

    def _update_instances(self, known: KnownGpu) -> Iterator[Gap]:
        was_known = bool(known.mig.instances) or known.gpu.is_mig_parent
        try:
            is_changed = known.mig.update()
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            self._mark_lost(known, failed)
            yield Gap(known.gpu.identity.name, failed.kind, failed.detail)
            return
        if is_changed:
            known.release(frozenset(device.identity.uuid for device in known.devices))
            if was_known:
                text = "otel-ml: the MIG instances of GPU %s were rebuilt: %d now"
                _LOG.info(text, known.gpu.identity.uuid, len(known.mig.instances))
