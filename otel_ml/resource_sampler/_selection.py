"""Which sources a mode reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from otel_ml.config import ConfigError
from otel_ml.resource_sampler._election import Elected, Leadership
from otel_ml.resource_sampler._source import Source
from otel_ml.resource_sampler._target_process import target_process
from otel_ml.resource_sampler.gpu._late_driver import LateGpuSource
from otel_ml.resource_sampler.gpu._source import GpuSource
from otel_ml.resource_sampler.linux._container import ContainerSource
from otel_ml.resource_sampler.linux._host import PARTS, HostSource, Part
from otel_ml.resource_sampler.linux._process import ProcessSource, available_cpus, is_alive

Mode = Literal["process", "sidecar", "node"]

_PARTS: Final[dict[str, tuple[Part, ...]]] = {"node": PARTS, "sidecar": ("network",), "process": ()}


def select_sources(  # noqa: PLR0913 - keyword-only, each with a default
    mode: Mode,
    *,
    pid: int | Callable[[], int | None] | None = None,
    utilization: bool = False,
    per_cpu: bool = False,
    pss: bool = False,
    gpm: bool = False,
    children: bool = True,
    elect: bool = True,
    mounts: Sequence[str] | None = None,
    host_root: str | Path | None = None,
) -> tuple[Source, ...]:
    """The sources of a mode.

    Args:
        mode: ``process``, ``sidecar`` or ``node``.
        pid: The process to read, or a function that returns its id; by default this process.
        utilization: Whether to add shares of CPU time.
        per_cpu: Whether the host's CPU times are those of each CPU.
        pss: Whether to add the process's proportional set size, once a minute.
        gpm: Whether to add SM, tensor and memory bandwidth activity of GPUs of the Hopper generation and later.
        children: Whether to look for descendants of the process.
        elect: Whether in the mode ``process`` only one worker of a prefork server reads container and GPUs.
        mounts: Mount points to report instead of all local file systems.
        host_root: Where the host's root is mounted in a container; only in the mode ``node``.

    Raises:
        ConfigError: The mode is unknown, there is no such process, or the host's root is not there.
    """
    if mode not in _PARTS:
        raise ConfigError(f"mode={mode!r} is unknown: use process, sidecar or node")
    proc = _proc(mode, host_root)
    if isinstance(pid, int) and not is_alive(pid, proc):
        raise ConfigError(f"pid={pid!r}: there is no such process here")
    parts = _PARTS[mode]
    target = target_process(pid, proc=proc) if isinstance(pid, int) else pid
    if not Path("/proc/self/stat").exists():  # macOS, Windows
        return _portable(parts, target)
    # without a target the sampler reads itself, which its own /proc shows
    own = proc if target is not None else Path("/proc")
    container = ContainerSource(target, proc=own)
    cpus = _cpu_counter(target, container)
    process = ProcessSource(target, proc=own, utilization=utilization, pss=pss, children=children, cpus=cpus)
    gpus = _gpus(mode, target, gpm=gpm, host_proc=None if host_root is None else proc)
    shared: tuple[Source, ...] = (container, LateGpuSource(gpus))
    if mode == "process" and target is None and elect:
        leadership = Leadership()
        shared = tuple(Elected(source, leadership) for source in shared)
    if not parts:
        return (process, *shared)
    host = HostSource(host_root=host_root, parts=parts, utilization=utilization, per_cpu=per_cpu, mounts=mounts)
    return (host, process, *shared)


def _proc(mode: Mode, host_root: str | Path | None) -> Path:
    if host_root is None:
        return Path("/proc")
    proc = Path(host_root) / "proc"
    if mode != "node":
        raise ConfigError(f"host_root={str(host_root)!r} is for the mode node, which reads the host; this is {mode}")
    if not (proc / "stat").exists():
        raise ConfigError(
            f"host_root={str(host_root)!r}: there is no proc/stat below it, so no host's root is mounted there"
        )
    return proc


def _cpu_counter(target: Callable[[], int | None] | None, container: ContainerSource) -> Callable[[], float]:
    """A function that returns how many CPUs affinity and quota grant."""

    def cpus() -> float:
        process = 0 if target is None else target() or 0
        return min(available_cpus(process), container.cpu_limit() or math.inf)

    return cpus


def _gpus(
    mode: Mode, target: Callable[[], int | None] | None, *, gpm: bool, host_proc: Path | None
) -> Callable[[], GpuSource]:
    """A function that makes the GPU source for the right share of the GPUs."""
    if mode == "node" and target is None:
        return lambda: GpuSource(gpm=gpm, attribution="containers", host_proc=host_proc)
    return lambda: GpuSource(gpm=gpm, pid=target, host_proc=host_proc)


def _portable(parts: tuple[Part, ...], target: Callable[[], int | None] | None) -> tuple[Source, ...]:
    from otel_ml.resource_sampler._psutil_readings import PortableHostSource, PortableProcessSource

    process = PortableProcessSource(target)
    host = (PortableHostSource(parts=parts),) if parts else ()
    return (*host, process, GpuSource(pid=target))
