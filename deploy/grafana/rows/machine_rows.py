"""The row about machine and container: disks, network, limits."""

from __future__ import annotations

from rows.panels import (
    CHOSEN_HOSTS,
    CHOSEN_PLACE,
    CHOSEN_PROCESSES,
    LIMIT,
    RATE,
    SHARE,
    Panel,
    Row,
    query,
    service_limit,
)

INSTANCE = "{{job}} {{instance}}"
DISK = "{{instance}} {{system_device_name}}"
INTERFACE = "{{instance}} {{network_interface_name}} {{network_io_direction}}"
AVAILABLE = f"container_memory_available_bytes{{{CHOSEN_PROCESSES}}}"
PERIODS = f"rate(otelml_container_cpu_periods_total{{{CHOSEN_PROCESSES}}}[{RATE}])"
THROTTLED = f"rate(otelml_container_cpu_throttled_periods_total{{{CHOSEN_PROCESSES}}}[{RATE}])"
LOST = [
    query(f"rate(system_network_{what}_total{{{CHOSEN_HOSTS}}}[{RATE}]) > 0", f"{INTERFACE} {name}")
    for what, name in (("errors", "errors"), ("packet_dropped", "dropped"))
]
MACHINE = Row(
    "Machine and container",
    [
        Panel(
            "File Systems",
            "Share of each local file system in use.",
            [
                query(
                    f"system_filesystem_utilization_ratio{{{CHOSEN_HOSTS}}}",
                    "{{instance}} {{system_filesystem_mountpoint}}",
                ),
                service_limit("service:system_filesystem_share:limit", CHOSEN_PLACE),
            ],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "Disk Time",
            "Share of time in which each disk was busy.",
            [query(f"rate(system_disk_io_time_seconds_total{{{CHOSEN_HOSTS}}}[{RATE}])", DISK)],
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "Disk Traffic",
            "Bytes per second read from and written to each disk.",
            [query(f"rate(system_disk_io_bytes_total{{{CHOSEN_HOSTS}}}[{RATE}])", f"{DISK} {{{{disk_io_direction}}}}")],
            unit="Bps",
            defaults={"min": 0},
        ),
        Panel(
            "Network Traffic",
            "Bytes per second of each interface.",
            [query(f"rate(system_network_io_bytes_total{{{CHOSEN_HOSTS}}}[{RATE}])", INTERFACE)],
            unit="Bps",
            defaults={"min": 0},
        ),
        Panel(
            "Network Errors",
            "Errors and dropped packets per second; empty while there are none.",
            LOST,
            unit="suffix: /s",
            defaults={"min": 0},
        ),
        Panel(
            "Container Memory",
            "Share of the container's limit in use that cannot be freed. At 100 % the kernel kills a process.",
            [
                query(f"1 - {AVAILABLE} / otelml_container_memory_limit_bytes{{{CHOSEN_PROCESSES}}}", INSTANCE),
                service_limit("service:container_memory_share:limit"),
            ],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "CPU Throttling",
            "Share of the periods in which the container had used up its CPU quota and waited.",
            [query(f"{THROTTLED} / {PERIODS}", INSTANCE), service_limit("service:container_cpu_throttled_share:limit")],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "Pressure",
            "Share of time in which a task waited for CPU, memory or disk, by machine and container.",
            [
                query(
                    f"rate(otelml_pressure_stall_time_seconds_total{{{CHOSEN_HOSTS}, "
                    f'otelml_pressure_stall_type="some"}}[{RATE}])',
                    "{{instance}} {{otelml_pressure_scope}} {{otelml_pressure_resource}}",
                )
            ],
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "Kills for Memory",
            "Processes of the container that the kernel killed; empty while there are none.",
            [query(f"increase(otelml_container_memory_oom_kills_total{{{CHOSEN_PROCESSES}}}[{RATE}]) > 0", INSTANCE)],
            defaults={"min": 0},
        ),
    ],
)
"""Empty where no sampler reads the machine, and without limits of a container."""
