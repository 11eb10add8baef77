"""Names of the host's resources: CPU, memory, disks, file systems, network, pressure."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

SYSTEM_CPU_TIME: Final = Metric("system.cpu.time", "counter", "s", "Seconds that the host's CPUs spent in each mode.")
SYSTEM_CPU_UTILIZATION: Final = Metric(
    "system.cpu.utilization", "gauge", "1", "Share of the host's CPU time since the last reading, by mode."
)
SYSTEM_CPU_LOGICAL_COUNT: Final = Metric(
    "system.cpu.logical.count", "updowncounter", "{cpu}", "Logical CPUs that are online."
)
SYSTEM_MEMORY_USAGE: Final = Metric(
    "system.memory.usage", "updowncounter", "By", "Memory of the host by state; used is total minus available."
)
SYSTEM_MEMORY_UTILIZATION: Final = Metric(
    "system.memory.utilization", "gauge", "1", "Share of the host's memory by state; the states overlap."
)
SYSTEM_MEMORY_LINUX_AVAILABLE: Final = Metric(
    "system.memory.linux.available", "updowncounter", "By", "Memory available without swapping."
)
SYSTEM_PAGING_USAGE: Final = Metric("system.paging.usage", "updowncounter", "By", "Swap space by state.")
SYSTEM_PAGING_FAULTS: Final = Metric("system.paging.faults", "counter", "{fault}", "Page faults of the host by type.")
SYSTEM_DISK_IO: Final = Metric("system.disk.io", "counter", "By", "Bytes read from and written to whole disks.")
SYSTEM_DISK_OPERATIONS: Final = Metric(
    "system.disk.operations", "counter", "{operation}", "Finished reads and writes of whole disks."
)
SYSTEM_DISK_OPERATION_TIME: Final = Metric(
    "system.disk.operation_time", "counter", "s", "Sum of the time that each read and each write took."
)
SYSTEM_DISK_IO_TIME: Final = Metric("system.disk.io_time", "counter", "s", "Time in which the disk was busy.")
SYSTEM_FILESYSTEM_USAGE: Final = Metric(
    "system.filesystem.usage", "updowncounter", "By", "Space of a file system by state; the states sum to its size."
)
SYSTEM_FILESYSTEM_UTILIZATION: Final = Metric(
    "system.filesystem.utilization", "gauge", "1", "Used space over the space that unprivileged users can fill."
)
SYSTEM_NETWORK_IO: Final = Metric(
    "system.network.io", "counter", "By", "Bytes sent and received by a network interface."
)
SYSTEM_NETWORK_ERRORS: Final = Metric("system.network.errors", "counter", "{error}", "Errors of a network interface.")
SYSTEM_NETWORK_PACKET_DROPPED: Final = Metric(
    "system.network.packet.dropped", "counter", "{packet}", "Packets that a network interface dropped."
)
PRESSURE_STALL_TIME: Final = Metric(
    "otelml.pressure.stall.time", "counter", "s", "Time in which some or all tasks waited for a resource (PSI)."
)
CPU_MODE: Final = "cpu.mode"
CPU_LOGICAL_NUMBER: Final = "cpu.logical_number"
HOST_NAME: Final = "host.name"
SYSTEM_MEMORY_STATE: Final = "system.memory.state"
SYSTEM_PAGING_STATE: Final = "system.paging.state"
SYSTEM_PAGING_FAULT_TYPE: Final = "system.paging.fault.type"
SYSTEM_DEVICE_NAME: Final = "system.device.name"
SYSTEM_FILESYSTEM_STATE: Final = "system.filesystem.state"
SYSTEM_FILESYSTEM_TYPE: Final = "system.filesystem.type"
SYSTEM_FILESYSTEM_MODE: Final = "system.filesystem.mode"
SYSTEM_FILESYSTEM_MOUNTPOINT: Final = "system.filesystem.mountpoint"
DISK_IO_DIRECTION: Final = "disk.io.direction"
NETWORK_INTERFACE_NAME: Final = "network.interface.name"
NETWORK_IO_DIRECTION: Final = "network.io.direction"
PRESSURE_RESOURCE: Final = "otelml.pressure.resource"
"""``cpu``, ``memory``, ``io`` or ``irq``."""
PRESSURE_STALL_TYPE: Final = "otelml.pressure.stall.type"
"""``some``: at least one task waited; ``full``: all of them."""
PRESSURE_SCOPE: Final = "otelml.pressure.scope"
"""``host`` or ``container``."""
