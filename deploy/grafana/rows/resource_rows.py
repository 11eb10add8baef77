"""The rows about processes, hosts, GPUs and the sampler that reads them."""

from __future__ import annotations

from rows.panels import (
    CHOSEN_HOSTS,
    CHOSEN_PLACE,
    CHOSEN_PROCESSES,
    LIMIT,
    RATE,
    SERVICE,
    SHARE,
    Panel,
    Row,
    query,
    service_limit,
)

INSTANCE = f"{SERVICE}, instance"
HOST_CPU = f"sum by ({INSTANCE}) (rate(system_cpu_time_seconds_total{{{CHOSEN_HOSTS}"
RESOURCES = Row(
    "Processes and hosts",
    [
        Panel(
            "Process CPU",
            "Number of CPUs that each process uses.",
            [
                query(
                    f"sum by ({INSTANCE}) (rate(process_cpu_time_seconds_total{{{CHOSEN_PROCESSES}}}[{RATE}]))",
                    "{{job}} {{instance}}",
                )
            ],
            defaults={"min": 0},
        ),
        Panel(
            "Process Memory",
            "Resident memory of each process.",
            [query(f"process_memory_usage_bytes{{{CHOSEN_PROCESSES}}}", "{{job}} {{instance}}")],
            unit="bytes",
            defaults={"min": 0},
        ),
        Panel(
            "Host CPU",
            "Share of the host's CPU time that was not idle, by reporting process.",
            [query(f'1 - {HOST_CPU}, cpu_mode="idle"}}[{RATE}])) / {HOST_CPU}}}[{RATE}]))', "{{job}} {{instance}}")],
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "Host Memory",
            "Share of the host's memory in use, by reporting process.",
            [
                query(
                    f'system_memory_utilization_ratio{{{CHOSEN_HOSTS}, system_memory_state="used"}}',
                    "{{job}} {{instance}}",
                )
            ],
            unit="percentunit",
            defaults=SHARE,
        ),
    ],
)
"""CPU and memory of the service and of its host."""

SAMPLER = Row(
    "The sampler",
    [
        Panel(
            "Readings That Failed",
            "By source and kind: what could not be read is missing above.",
            [
                query(
                    f"sum by ({INSTANCE}, otelml_sampler_collector, error_type) "
                    f"(increase(otelml_sampler_collector_errors_total{{{CHOSEN_HOSTS}}}[{RATE}])) "
                    f"or 0 * max by ({INSTANCE}, otelml_sampler_collector) "
                    f"(otelml_sampler_last_success_seconds{{{CHOSEN_HOSTS}}})",
                    "{{job}} {{otelml_sampler_collector}} {{error_type}}",
                )
            ],
            defaults={"min": 0},
        ),
        Panel(
            "Age of the Readings",
            "Time since each source was read last.",
            [
                query(
                    f"time() - max by ({INSTANCE}, otelml_sampler_collector) "
                    f"(otelml_sampler_last_success_seconds{{{CHOSEN_HOSTS}}})",
                    "{{job}} {{otelml_sampler_collector}}",
                )
            ],
            unit="s",
            defaults={"min": 0},
        ),
        Panel(
            "Sampler CPU",
            "Number of CPUs that reading costs.",
            [query(f"rate(otelml_sampler_cpu_time_seconds_total{{{CHOSEN_HOSTS}}}[{RATE}])", "{{job}} {{instance}}")],
            defaults={"min": 0},
        ),
        Panel(
            "Interval of the Sampler",
            "Longer than configured while readings take long.",
            [query(f"otelml_sampler_interval_seconds{{{CHOSEN_HOSTS}}}", "{{job}} {{instance}}")],
            unit="s",
            defaults={"min": 0},
        ),
    ],
)
"""Whether the figures above are complete."""

GPUS = Row(
    "GPUs, where there are any",
    [
        Panel(
            "GPU Utilization",
            "Share of time in which at least one kernel ran.",
            [query(f'hw_gpu_utilization_ratio{{{CHOSEN_HOSTS}, hw_gpu_task="general"}}', "{{job}} {{hw_name}}")],
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "GPU Memory",
            "Share of GPU memory in use.",
            [
                query(
                    f"hw_gpu_memory_usage_bytes{{{CHOSEN_HOSTS}}} / hw_gpu_memory_limit_bytes{{{CHOSEN_HOSTS}}}",
                    "{{job}} {{hw_name}}",
                ),
                service_limit("service:hw_gpu_memory_share:limit", CHOSEN_PLACE),
            ],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "GPU Temperature",
            "Temperature of each sensor.",
            [
                query(f"hw_temperature_celsius{{{CHOSEN_HOSTS}}}", "{{job}} {{hw_parent}} {{hw_sensor_location}}"),
                service_limit("service:hw_temperature_celsius:limit", CHOSEN_PLACE),
            ],
            unit="celsius",
            overrides=[LIMIT],
        ),
        Panel(
            "GPU Power",
            "Power that the GPU draws.",
            [query(f'hw_power_watts{{{CHOSEN_HOSTS}, hw_type="gpu"}}', "{{job}} {{hw_name}}")],
            unit="watt",
            defaults={"min": 0},
        ),
        Panel(
            "GPU State",
            "GPUs that are lost, slowed down or about to fail; empty while all are healthy.",
            [
                query(
                    f'hw_status{{{CHOSEN_HOSTS}, hw_type="gpu", hw_state!="ok"}} == 1',
                    "{{job}} {{hw_name}} {{hw_state}}",
                )
            ],
            width=12,
            defaults={"min": 0, "max": 1},
        ),
        Panel(
            "GPU Errors",
            "XID codes, memory errors and repeated bus transfers; empty while there are none.",
            [
                query(
                    f'increase(hw_errors_total{{{CHOSEN_HOSTS}, hw_type="gpu"}}[{RATE}]) > 0',
                    "{{job}} {{hw_name}} {{error_type}}",
                )
            ],
            width=12,
            defaults={"min": 0},
        ),
    ],
)
"""Empty where there is no GPU: a failed reading is no point."""
