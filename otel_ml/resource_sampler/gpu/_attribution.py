"""Which share of a GPU belongs to this process, and the method by which that is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from otel_ml import semconv
from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.gpu._device import Device, Gpu
from otel_ml.resource_sampler.gpu._model_memory import Allocated, allocated, bare, loaded_models
from otel_ml.resource_sampler.gpu._nvml import Nvml
from otel_ml.resource_sampler.gpu._process_owners import Owners, is_plausible
from otel_ml.resource_sampler.gpu._slow_readings import Step

AttributionKind = Literal["process", "containers", "off"]

_MAX_MADE: Final = 1024


@dataclass(slots=True)
class _Seen:
    """The last process list of one device."""

    pids: frozenset[int] = frozenset()
    ours: frozenset[int] = frozenset()
    method: str = "none"
    utilization_until: int = 0
    by_container: dict[int, str] = field(default_factory=dict)


class Attribution:
    """The slow steps that find out whose a GPU is.

    For each GPU the first method that applies is used: ``framework`` (the allocator of a loaded torch), ``pid`` (the
    driver's process list names us, or a descendant, and that process has CUDA open), ``host_pid`` (it names us by the
    host's number), ``exclusive`` (the only device that is visible, and no other process is listed: an upper bound).
    Without a method there is no figure.

    Args:
        nvml: The driver library.
        kind: ``process`` for the target process, ``containers`` for the sum of each container on this machine.
        pid: The target process or what returns it, by default this one.
        proc: /proc of this namespace.
        host_proc: /proc of the host, where it is mounted.
        framework: What the allocator of the framework holds.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        nvml: Nvml,
        *,
        kind: AttributionKind = "process",
        pid: int | Callable[[], int | None] | None = None,
        proc: Path = Path("/proc"),
        host_proc: Path | None = None,
        framework: Callable[[], list[Allocated]] = allocated,
    ) -> None:
        self._nvml = nvml
        self._kind = kind
        self._is_self = pid is None or pid == os.getpid()
        self._owners = Owners(os.getpid() if pid is None else pid, proc, host_proc)
        self._framework = framework
        self._seen: dict[str, _Seen] = {}
        self._made: dict[object, dict[str, str | int]] = {}

    def steps(self, device: Device, *, is_sole: bool) -> Sequence[tuple[str, Step]]:
        """The slow steps of one GPU or MIG instance; `is_sole` means that no other one is visible."""
        if self._kind == "off":
            return ()
        steps: list[tuple[str, Step]] = [("processes", lambda: self._processes(device, is_sole=is_sole))]
        if isinstance(device, Gpu):  # never on MIG
            steps.append(("process utilization", lambda: self._utilization(device)))
        return steps

    def keep(self, uuids: set[str]) -> None:
        """Forgets devices that are gone."""
        for uuid in [uuid for uuid in self._seen if uuid not in uuids]:
            del self._seen[uuid]

    def models(self, devices: Sequence[Device]) -> Iterator[Reading]:
        """`otelml.model.gpu.memory.usage` of the models whose loading was measured; only in the service itself."""
        models = loaded_models() if self._is_self and self._kind == "process" else []
        held = self._framework() if models else []
        for one in held:
            device = _find_device(one, held, devices)
            # together they cannot be more than what is allocated now: some of it has been freed unseen
            total = sum(memory.by_device.get(one.number, 0) for memory in models)
            if device is None or total > one.allocated:
                continue
            for memory in models:
                if one.number in memory.by_device:
                    model = (semconv.MODEL_NAME, memory.name), (semconv.MODEL_VERSION, memory.version)
                    tags = self._tags(device, *model)
                    yield Reading(semconv.MODEL_GPU_MEMORY_USAGE, memory.by_device[one.number], tags)

    def _processes(self, device: Device, *, is_sole: bool) -> Iterator[Reading | Gap]:
        seen = self._seen.setdefault(device.identity.uuid, _Seen())
        seen.pids = seen.ours = frozenset()
        seen.by_container = {}
        memory = dict(self._nvml.processes(device.handle))
        if not all(map(is_plausible, memory)):
            yield Gap(f"{device.identity.name} processes", "malformed", "process ids out of range")
            return
        seen.pids = frozenset(memory)
        if self._kind == "containers":
            yield from self._by_container(device, memory, seen)
            return
        ours, method = self._owners.ours(memory)
        seen.ours, seen.method = frozenset(ours), method
        yield from self._count(device, memory, ours)
        yield from self._memory(device, memory, ours, method, is_sole=is_sole)

    def _memory(
        self, device: Device, memory: dict[int, int | None], ours: set[int], method: str, *, is_sole: bool
    ) -> Iterator[Reading | Gap]:
        held = self._reserved(device, is_sole=is_sole)
        used = [memory[pid] or 0 for pid in ours]
        if held:
            value, used_method = held, "framework"
        elif used and all(used):  # 0 comes from a half-translated process id
            value, used_method = sum(used), method
        elif is_sole and device.memory_used and memory.keys() <= ours and self._owners.has_device():
            value, used_method = device.memory_used, "exclusive"
        else:
            yield Gap(f"{device.identity.name} share of the process", "absent", "no attribution method applies")
            return
        yield Reading(semconv.PROCESS_GPU_MEMORY_USAGE, value, self._share_tags(device, used_method))

    def _reserved(self, device: Device, *, is_sole: bool) -> int:
        if not self._is_self:
            return 0
        held = self._framework()
        devices = [device] if is_sole else []
        return sum(
            one.reserved
            for one in held
            if one.uuid == bare(device.identity.uuid) or (not one.uuid and _find_device(one, held, devices) is device)
        )

    def _count(self, device: Device, memory: dict[int, int | None], ours: set[int]) -> Iterator[Reading]:
        # a process that uses CUDA but is not found in the list may be in it under another number
        if not ours and memory and self._owners.has_device():
            return
        for owner, count in (("self", len(ours)), ("other", len(memory) - len(ours))):
            tags = device.identity.tags((semconv.GPU_PROCESS_OWNER, owner))
            yield Reading(semconv.GPU_PROCESS_COUNT, count, tags)

    def _by_container(self, device: Device, memory: dict[int, int | None], seen: _Seen) -> Iterator[Reading]:
        seen.by_container = self._owners.containers(memory)
        sums: dict[str, int] = {}
        unknown = set()
        for pid, container in seen.by_container.items():
            sums[container] = sums.get(container, 0) + (memory[pid] or 0)
            if not memory[pid]:
                unknown.add(container)
        for container, used in sums.items():
            if container not in unknown:
                tags = self._share_tags(device, "host_pid", container)
                yield Reading(semconv.PROCESS_GPU_MEMORY_USAGE, used, tags)

    def _utilization(self, gpu: Gpu) -> Iterator[Reading | Gap]:
        seen = self._seen.setdefault(gpu.identity.uuid, _Seen())
        since = seen.utilization_until
        shares: dict[int, tuple[int, int]] = {}
        for pid, stamp, share in self._nvml.process_utilization(gpu.handle, since):
            if stamp > since and is_plausible(pid) and share <= 100:
                seen.utilization_until = max(seen.utilization_until, stamp)
                shares[pid] = max(shares.get(pid, (0, 0)), (stamp, share))
        gpu.compare(max((share for _, share in shares.values()), default=0))
        if not shares or not shares.keys() <= seen.pids:  # the two lists may use different namespaces
            return
        groups: dict[str | None, frozenset[int]] = {None: seen.ours} if seen.ours else {}
        for pid, container in seen.by_container.items():
            groups[container] = groups.get(container, frozenset()) | {pid}
        for group, pids in groups.items():
            share = sum(shares[pid][1] for pid in pids if pid in shares)
            tags = self._share_tags(gpu, seen.method if group is None else "host_pid", group)
            yield Reading(semconv.PROCESS_GPU_UTILIZATION, min(share, 100) / 100, tags)

    def _share_tags(self, device: Device, method: str, container: str | None = None) -> dict[str, str | int]:
        more = () if container is None else ((semconv.CONTAINER_ID, container),)
        return self._tags(device, (semconv.GPU_ATTRIBUTION_METHOD, method), *more)

    def _tags(self, device: Device, *pairs: tuple[str, str]) -> dict[str, str | int]:
        key = (device.identity.uuid, *pairs)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _MAX_MADE:
                self._made.clear()
            made = self._made[key] = {semconv.HW_ID: device.identity.uuid, **dict(pairs)}
        return made


def _find_device(one: Allocated, held: Sequence[Allocated], devices: Sequence[Device]) -> Device | None:
    """The driver's device of a framework's: by UUID; without one only where there is a single device on both sides."""
    if one.uuid:
        return next((device for device in devices if bare(device.identity.uuid) == one.uuid), None)
    return devices[0] if len(devices) == len(held) == 1 else None
