"""Names of a container's resources."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

CONTAINER_CPU_TIME: Final = Metric("container.cpu.time", "counter", "s", "CPU seconds of the container by mode.")
CONTAINER_MEMORY_USAGE: Final = Metric(
    "container.memory.usage", "updowncounter", "By", "Memory charged to the container, including page cache."
)
CONTAINER_MEMORY_WORKING_SET: Final = Metric(
    "container.memory.working_set", "updowncounter", "By", "Usage minus inactive file pages, as the kubelet counts."
)
CONTAINER_MEMORY_RSS: Final = Metric(
    "container.memory.rss", "updowncounter", "By", "Anonymous memory of the container."
)
CONTAINER_MEMORY_AVAILABLE: Final = Metric(
    "container.memory.available",
    "updowncounter",
    "By",
    "The least that the group, or one above it, has left of its memory limit; absent without a limit.",
)
CONTAINER_PAGING_FAULTS: Final = Metric(
    "container.paging.faults", "counter", "{fault}", "Page faults of the container by type."
)
CONTAINER_DISK_IO: Final = Metric(
    "container.disk.io", "counter", "By", "Bytes that the container read from and wrote to block devices."
)
CONTAINER_CPU_LIMIT: Final = Metric(
    "otelml.container.cpu.limit", "updowncounter", "{cpu}", "Smallest CPU quota up the cgroup tree; absent without one."
)
CONTAINER_MEMORY_LIMIT: Final = Metric(
    "otelml.container.memory.limit",
    "updowncounter",
    "By",
    "Smallest memory limit up the cgroup tree; absent without one.",
)
CONTAINER_CPU_PERIODS: Final = Metric(
    "otelml.container.cpu.periods", "counter", "{period}", "CPU quota periods in which the container wanted to run."
)
CONTAINER_CPU_THROTTLED_PERIODS: Final = Metric(
    "otelml.container.cpu.throttled.periods",
    "counter",
    "{period}",
    "CPU quota periods in which the container was throttled.",
)
CONTAINER_CPU_THROTTLED_TIME: Final = Metric(
    "otelml.container.cpu.throttled.time", "counter", "s", "Time for which the CPU quota throttled the container."
)
CONTAINER_MEMORY_OOM_KILLS: Final = Metric(
    "otelml.container.memory.oom_kills",
    "counter",
    "{event}",
    "Processes killed because the container ran out of memory.",
)
CONTAINER_ID: Final = "container.id"
