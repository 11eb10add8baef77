"""Names of a process's resources and of its interpreter."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

PROCESS_CPU_TIME: Final = Metric("process.cpu.time", "counter", "s", "CPU seconds of the process by mode.")
PROCESS_CPU_UTILIZATION: Final = Metric(
    "process.cpu.utilization", "gauge", "1", "CPU time since the last reading over elapsed time and available CPUs."
)
PROCESS_MEMORY_USAGE: Final = Metric("process.memory.usage", "updowncounter", "By", "Resident memory of the process.")
PROCESS_MEMORY_VIRTUAL: Final = Metric("process.memory.virtual", "updowncounter", "By", "Mapped address space.")
PROCESS_DISK_IO: Final = Metric(
    "process.disk.io", "counter", "By", "Bytes that the process read from and wrote to storage."
)
PROCESS_THREAD_COUNT: Final = Metric("process.thread.count", "updowncounter", "{thread}", "Threads of the process.")
PROCESS_FILE_DESCRIPTOR_COUNT: Final = Metric(
    "process.unix.file_descriptor.count", "updowncounter", "{file_descriptor}", "Open file descriptors."
)
PROCESS_FILE_DESCRIPTOR_LIMIT: Final = Metric(
    "otelml.process.file_descriptor.limit", "updowncounter", "{file_descriptor}", "Soft limit of open descriptors."
)
PROCESS_CONTEXT_SWITCHES: Final = Metric(
    "process.context_switches", "counter", "{context_switch}", "Context switches of all threads of the process by type."
)
PROCESS_PAGING_FAULTS: Final = Metric(
    "process.paging.faults", "counter", "{fault}", "Page faults of the process by type."
)
PROCESS_UPTIME: Final = Metric("process.uptime", "gauge", "s", "Time since the process started.")
PROCESS_MEMORY_PSS: Final = Metric(
    "otelml.process.memory.pss", "updowncounter", "By", "Resident memory, each shared page divided by its users."
)
PROCESS_CHILDREN_COUNT: Final = Metric(
    "otelml.process.children.count", "updowncounter", "{process}", "Living descendants of the process."
)
PROCESS_CHILDREN_CPU_TIME: Final = Metric(
    "otelml.process.children.cpu.time", "counter", "s", "CPU seconds of all descendants, including ended ones, by mode."
)
PROCESS_CHILDREN_MEMORY_USAGE: Final = Metric(
    "otelml.process.children.memory.usage",
    "updowncounter",
    "By",
    "Resident memory of the living descendants; shared pages count once for each.",
)
CPYTHON_GC_COLLECTIONS: Final = Metric(
    "cpython.gc.collections", "counter", "{collection}", "Garbage collections by generation."
)
CPYTHON_GC_COLLECTED_OBJECTS: Final = Metric(
    "cpython.gc.collected_objects", "counter", "{object}", "Objects that garbage collection freed, by generation."
)
CPYTHON_GC_UNCOLLECTABLE_OBJECTS: Final = Metric(
    "cpython.gc.uncollectable_objects", "counter", "{object}", "Objects that could not be freed, by generation."
)
PROCESS_CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
PROCESS_PID: Final = "process.pid"
CPYTHON_GC_GENERATION: Final = "cpython.gc.generation"
