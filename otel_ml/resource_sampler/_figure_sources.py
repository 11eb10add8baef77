"""Where each figure comes from, as `otel-ml sampler --once` shows it."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv

_PRESSURE: Final = {"host": "/proc/pressure", "container": "cgroup *.pressure"}
_OF_GPU: Final = "NVML"

ORIGINS: Final = {
    semconv.SYSTEM_CPU_TIME: "/proc/stat",
    semconv.SYSTEM_CPU_UTILIZATION: "/proc/stat",
    semconv.SYSTEM_CPU_LOGICAL_COUNT: "/proc/stat",
    semconv.SYSTEM_MEMORY_USAGE: "/proc/meminfo",
    semconv.SYSTEM_MEMORY_UTILIZATION: "/proc/meminfo",
    semconv.SYSTEM_MEMORY_LINUX_AVAILABLE: "/proc/meminfo",
    semconv.SYSTEM_PAGING_USAGE: "/proc/meminfo",
    semconv.SYSTEM_PAGING_FAULTS: "/proc/vmstat",
    semconv.SYSTEM_DISK_IO: "/proc/diskstats",
    semconv.SYSTEM_DISK_OPERATIONS: "/proc/diskstats",
    semconv.SYSTEM_DISK_OPERATION_TIME: "/proc/diskstats",
    semconv.SYSTEM_DISK_IO_TIME: "/proc/diskstats",
    semconv.SYSTEM_FILESYSTEM_USAGE: "statvfs",
    semconv.SYSTEM_FILESYSTEM_UTILIZATION: "statvfs",
    semconv.SYSTEM_NETWORK_IO: "/proc/net/dev",
    semconv.SYSTEM_NETWORK_ERRORS: "/proc/net/dev",
    semconv.SYSTEM_NETWORK_PACKET_DROPPED: "/proc/net/dev",
    semconv.PROCESS_CPU_TIME: "/proc/<pid>/stat",
    semconv.PROCESS_CPU_UTILIZATION: "/proc/<pid>/stat",
    semconv.PROCESS_MEMORY_USAGE: "/proc/<pid>/stat",
    semconv.PROCESS_MEMORY_VIRTUAL: "/proc/<pid>/stat",
    semconv.PROCESS_MEMORY_PSS: "/proc/<pid>/smaps_rollup",
    semconv.PROCESS_DISK_IO: "/proc/<pid>/io",
    semconv.PROCESS_THREAD_COUNT: "/proc/<pid>/stat",
    semconv.PROCESS_FILE_DESCRIPTOR_COUNT: "/proc/<pid>/fd",
    semconv.PROCESS_FILE_DESCRIPTOR_LIMIT: "/proc/<pid>/limits",
    semconv.PROCESS_CONTEXT_SWITCHES: "getrusage",
    semconv.PROCESS_PAGING_FAULTS: "/proc/<pid>/stat",
    semconv.PROCESS_UPTIME: "/proc/<pid>/stat",
    semconv.PROCESS_CHILDREN_COUNT: "/proc/*/stat",
    semconv.PROCESS_CHILDREN_CPU_TIME: "/proc/*/stat",
    semconv.PROCESS_CHILDREN_MEMORY_USAGE: "/proc/*/stat",
    semconv.CPYTHON_GC_COLLECTIONS: "gc.get_stats",
    semconv.CPYTHON_GC_COLLECTED_OBJECTS: "gc.get_stats",
    semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS: "gc.get_stats",
    semconv.CONTAINER_CPU_TIME: "cgroup cpu.stat, v1 cpuacct.stat",
    semconv.CONTAINER_CPU_LIMIT: "cgroup cpu.max, v1 cpu.cfs_quota_us",
    semconv.CONTAINER_CPU_PERIODS: "cgroup cpu.stat",
    semconv.CONTAINER_CPU_THROTTLED_PERIODS: "cgroup cpu.stat",
    semconv.CONTAINER_CPU_THROTTLED_TIME: "cgroup cpu.stat",
    semconv.CONTAINER_MEMORY_USAGE: "cgroup memory.current, v1 memory.usage_in_bytes",
    semconv.CONTAINER_MEMORY_WORKING_SET: "cgroup memory.stat",
    semconv.CONTAINER_MEMORY_RSS: "cgroup memory.stat",
    semconv.CONTAINER_MEMORY_LIMIT: "cgroup memory.max, v1 memory.stat",
    semconv.CONTAINER_MEMORY_AVAILABLE: "cgroup memory.max, memory.stat",
    semconv.CONTAINER_PAGING_FAULTS: "cgroup memory.stat",
    semconv.CONTAINER_MEMORY_OOM_KILLS: "cgroup memory.events, v1 memory.oom_control",
    semconv.CONTAINER_DISK_IO: "cgroup io.stat, v1 blkio.throttle.io_service_bytes",
}


def find_origin(source: str, metric: semconv.Metric) -> str:
    """The file or call behind a reading of a source; empty where it is not known."""
    if metric is semconv.PRESSURE_STALL_TIME:
        return _PRESSURE.get(source, "")
    if source == "gpu":
        return _OF_GPU
    return ORIGINS.get(metric, "")
