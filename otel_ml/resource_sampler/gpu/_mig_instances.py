"""MIG instances of a GPU: found by walking, found again when they are rebuilt, never added up with their parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.gpu._device import Device, Gpu
from otel_ml.resource_sampler.gpu._identity import DeviceIdentity
from otel_ml.resource_sampler.gpu._nvml import CallFailed, Nvml
from otel_ml.resource_sampler.gpu._slow_readings import Step

MAX_INSTANCES: Final = 16
"""Instances of one GPU; the hardware has seven."""


class _Found(NamedTuple):
    """One MIG device that was found."""

    place: int
    uuid: str
    handle: Any
    slice_id: int
    """Id of the GPU instance, whose memory its compute instances share."""


class MigInstance(Device):
    """One GPU instance; its handle may be reused for another one, so each tick checks its UUID."""

    def __init__(self, nvml: Nvml, identity: DeviceIdentity, found: _Found) -> None:
        super().__init__(nvml, identity, found.handle)
        self.slice_id = found.slice_id
        self.is_stale = False
        self._slow_items: list[Reading | Gap] = []

    def read(self, *, slow: bool, others: Iterable[tuple[str, Step]] = ()) -> Iterator[Reading | Gap]:
        """One tick: the memory, if the handle still means this instance, and the slow tier's processes."""
        if slow:
            self.ask_refused_again()
        items: list[Reading | Gap] = []
        try:
            items.extend(self.run("memory", self.memory))
            self.is_stale = self.nvml.call("nvmlDeviceGetUUID", self.handle) != self.identity.uuid
            if slow and not self.is_stale:
                self._slow_items = [item for what, step in others for item in self.run(what, step)]
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
            self.is_stale = True
        if self.is_stale:
            yield Gap(self.identity.name, "absent", "the layout of instances changed")
            return
        yield from items
        yield from self._slow_items


class MigLayout:
    """The instances of one GPU."""

    def __init__(self, nvml: Nvml, parent: Gpu) -> None:
        self._nvml = nvml
        self._parent = parent
        self._is_unsupported = False
        self.instances: dict[str, MigInstance] = {}

    def forget(self) -> None:
        """For a GPU that is lost or back: everything is looked up again."""
        self._is_unsupported = False
        self.instances = {}
        self._parent.is_mig_parent = False

    def update(self) -> bool:
        """Walks the instances again; whether they have changed.

        Raises:
            CallFailed: The GPU ("lost") or the whole driver ("driver") is gone.
        """
        before = set(self.instances)
        found = self._walk() if self._is_enabled() else None
        self._parent.is_mig_parent = found is not None
        kept: dict[str, MigInstance] = {}
        slices: set[int] = set()
        for one in found or ():
            if one.slice_id in slices:
                continue  # a further compute instance of the same memory
            slices.add(one.slice_id)
            instance = self.instances.get(one.uuid)
            if instance is None or instance.slice_id != one.slice_id:
                instance = self._make(one)
            elif instance.is_stale:
                instance.reopen(one.handle)
            instance.handle, instance.is_stale = one.handle, False
            kept[one.uuid] = instance
        self.instances = kept
        return set(kept) != before

    def _is_enabled(self) -> bool:
        if self._is_unsupported:
            return False
        try:
            return bool(self._nvml.call("nvmlDeviceGetMigMode", self._parent.handle)[0])
        except CallFailed as failed:
            if failed.kind in {"driver", "lost"} and failed.code != 2:
                raise
            self._is_unsupported = failed.kind in {"unsupported", "lost"}
            return False

    def _walk(self) -> list[_Found]:
        found: list[_Found] = []
        most = int(self._nvml.call("nvmlDeviceGetMaxMigDeviceCount", self._parent.handle))
        for index in range(min(most, MAX_INSTANCES)):
            try:
                handle = self._nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", self._parent.handle, index)
                uuid = str(self._nvml.call("nvmlDeviceGetUUID", handle))
                slice_id = int(self._nvml.call("nvmlDeviceGetGpuInstanceId", handle))
            except CallFailed as failed:
                if failed.kind == "driver" or (failed.kind == "lost" and failed.code != 2):
                    raise
                continue  # gaps in the numbering are normal
            found.append(_Found(index, uuid, handle, slice_id))
        return found

    def _make(self, found: _Found) -> MigInstance:
        parent = self._parent.identity
        model = parent.model
        try:
            model = str(self._nvml.call("nvmlDeviceGetName", found.handle))
        except CallFailed as failed:
            if failed.kind == "driver":
                raise
        identity = DeviceIdentity(found.uuid, f"{parent.name} MIG {found.place}", model, parent.uuid)
        return MigInstance(self._nvml, identity, found)
