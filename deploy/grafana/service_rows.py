"""Rows about what surrounds the model: calls, single records, machines and the telemetry itself."""

from __future__ import annotations

from panels import (
    CALLS,
    CHOSEN,
    CHOSEN_MODEL,
    CHOSEN_SERVICE,
    LIMIT,
    LOKI,
    MODEL,
    NAME,
    RATE,
    SERVICE,
    SHARE,
    TEMPO,
    Panel,
    Row,
    limit,
    quantile,
    query,
    service_limit,
)

LATENCY = [
    query(quantile(share, "ml_prediction_duration_seconds_bucket"), f"p{share * 100:g} {NAME}", exemplar=share > 0.9)
    for share in (0.5, 0.95, 0.99)
]
STAGES = quantile(0.95, "ml_prediction_stage_duration_seconds_bucket", f"ml_stage_name, {MODEL}")
REPLICAS = "{{job}} {{ml_model_name}} {{k8s_cluster_name}} {{k8s_namespace_name}}"
OPERATION = Row(
    "Operation",
    [
        Panel("Latency", "Median, p95 and p99 of all finished calls.", LATENCY, unit="s", width=8),
        Panel(
            "Stages (p95)",
            "Time in the named stages of a call.",
            [query(STAGES, f"{{{{ml_stage_name}}}} {NAME}")],
            unit="s",
            width=8,
        ),
        Panel(
            "Errors by Type",
            "Failed calls per second. `cancelled`: the caller gave up.",
            [
                query(
                    f"sum by ({MODEL}, error_type) (rate(ml_prediction_errors_total{{{CHOSEN}}}[{RATE}]))",
                    f"{{{{error_type}}}} {NAME}",
                )
            ],
            unit="suffix: /s",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Rows per Call",
            "Mean batch size.",
            [query(f"sum by ({MODEL}) (rate(ml_predictions_total{{{CHOSEN}}}[{RATE}])) / {CALLS}")],
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Calls in Flight",
            "Calls in progress, in all replicas.",
            [query(f"sum by ({MODEL}) (ml_prediction_active{{{CHOSEN}}})")],
            width=8,
            defaults={"min": 0, "decimals": 0},
        ),
        Panel(
            "Replicas",
            "Processes that hold each model, in all versions. A rollout has more of them for a while.",
            [query(f"serving:ml_model_processes:alive{{{CHOSEN_MODEL}}}", REPLICAS)],
            width=8,
            defaults={"min": 0, "decimals": 0},
        ),
    ],
)
"""Latency, stages, errors and load."""

LOGS = (
    '{service_name=~"$service"} | k8s_cluster_name=~"$cluster" | k8s_namespace_name=~"$namespace" '
    '| ml_model_name=~"$model" | ml_model_version=~"$version"'
)
TRACES = 'resource.service.name =~ "$service" && span.ml.model.name =~ "$model"'
RECORDS = Row(
    "Single predictions",
    [
        Panel(
            "Prediction Events and Logs",
            "The line of an event is one JSON text with the features; `| json` parses it. Its trace id is a link.",
            [{"datasource": LOKI, "expr": LOGS, "queryType": "range", "maxLines": 200}],
            kind="logs",
            source=LOKI,
            width=12,
            height=12,
            options={"showTime": True, "enableLogDetails": True, "sortOrder": "Descending", "wrapLogMessage": True},
        ),
        *(
            Panel(
                title,
                description,
                [{"datasource": TEMPO, "query": text, "queryType": "traceql", "tableType": "traces", "limit": 20}],
                kind="table",
                source=TEMPO,
                height=12,
            )
            for title, description, text in (
                (
                    "Failed Predictions",
                    "Newest traces with a failed prediction.",
                    f"{{ {TRACES} && status = error }}",
                ),
                (
                    "Slow Predictions",
                    "Newest traces with a prediction that took longer than 500 ms.",
                    f"{{ {TRACES} && span:duration > 500ms }}",
                ),
            )
        ),
    ],
)
"""Single predictions behind the curves."""

HOST = 'deployment_environment_name=~"$environment", k8s_cluster_name=~"$cluster"'
INSTANCE = f"{SERVICE}, instance"
HOST_CPU = f"sum by ({INSTANCE}) (rate(system_cpu_time_seconds_total{{{HOST}"
RESOURCES = Row(
    "Resources",
    [
        Panel(
            "Process CPU",
            "Number of CPUs that each process uses.",
            [
                query(
                    f"sum by ({INSTANCE}) (rate(process_cpu_time_seconds_total{{{CHOSEN_SERVICE}}}[{RATE}]))",
                    "{{job}} {{instance}}",
                )
            ],
            defaults={"min": 0},
        ),
        Panel(
            "Process Memory",
            "Resident memory of each process.",
            [query(f"process_memory_usage_bytes{{{CHOSEN_SERVICE}}}", "{{job}} {{instance}}")],
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
            [query(f'system_memory_utilization_ratio{{{HOST}, system_memory_state="used"}}', "{{job}} {{instance}}")],
            unit="percentunit",
            defaults=SHARE,
        ),
    ],
)
"""CPU and memory of the service and of its host."""

GPUS = Row(
    "GPUs, where there are any",
    [
        Panel(
            "GPU Utilization",
            "Share of time in which at least one kernel ran.",
            [query(f'hw_gpu_utilization_ratio{{{HOST}, hw_gpu_task="general"}}', "{{job}} {{hw_name}}")],
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "GPU Memory",
            "Share of GPU memory in use.",
            [
                query(
                    f"hw_gpu_memory_usage_bytes{{{HOST}}} / hw_gpu_memory_limit_bytes{{{HOST}}}",
                    "{{job}} {{hw_name}}",
                ),
                service_limit("service:hw_gpu_memory_share:limit", HOST),
            ],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "GPU Temperature",
            "Temperature of each sensor.",
            [
                query(f"hw_temperature_celsius{{{HOST}}}", "{{job}} {{hw_parent}} {{hw_sensor_location}}"),
                service_limit("service:hw_temperature_celsius:limit", HOST),
            ],
            unit="celsius",
            overrides=[LIMIT],
        ),
        Panel(
            "GPU Power",
            "Power that the GPU draws.",
            [query(f'hw_power_watts{{{HOST}, hw_type="gpu"}}', "{{job}} {{hw_name}}")],
            unit="watt",
            defaults={"min": 0},
        ),
        Panel(
            "GPU State",
            "GPUs that are lost, slowed down or about to fail; empty while all are healthy.",
            [
                query(
                    f'hw_status{{{HOST}, hw_type="gpu", hw_state!="ok"}} == 1',
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
                    f'increase(hw_errors_total{{{HOST}, hw_type="gpu"}}[{RATE}]) > 0',
                    "{{job}} {{hw_name}} {{error_type}}",
                )
            ],
            width=12,
            defaults={"min": 0},
        ),
    ],
)
"""Empty where there is no GPU: a failed reading is no point."""


def records_of(fate: str) -> str:
    return f"sum by ({SERVICE}, otelml_signal) (increase(otelml_export_{fate}_total{{{CHOSEN_SERVICE}}}[{RATE}]))"


KINDS = ("spans", "metric_points", "log_records")
SENT = {kind: f"sum by (exporter) (rate(otelcol_exporter_sent_{kind}_total[{RATE}]))" for kind in KINDS}
REFUSED = {kind: f"sum by (exporter) (rate(otelcol_exporter_send_failed_{kind}_total[{RATE}]))" for kind in KINDS}
LOST = f"({records_of('dropped')} or 0 * {records_of('produced')})"
REJECTED = f"({records_of('rejected')} or 0 * {records_of('produced')})"
TELEMETRY = Row(
    "Health of the telemetry",
    [
        Panel(
            "Records Delivered",
            "Spans, metric exports and log records that the first hop accepted.",
            [query(records_of("delivered"), "{{job}} {{otelml_signal}}")],
            defaults={"min": 0},
        ),
        Panel(
            "Records Lost",
            "Dropped by the service or refused by the first hop. The rest of this dashboard lacks them.",
            [query(f"{LOST} + {REJECTED}", "{{job}} {{otelml_signal}}")],
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Collector Queues",
            "How full the queues on disk are; at 100 % data is lost.",
            [
                query("otelcol_exporter_queue_size / otelcol_exporter_queue_capacity", "{{exporter}} {{data_type}}"),
                service_limit("service:otelcol_queue_share:limit", chosen=""),
            ],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "Collector Exports",
            "Records per second that the back ends accepted, and that they refused for good.",
            [
                query(text, f"{{{{exporter}}}} {what}{kind.replace('_', ' ')}")
                for kind in KINDS
                for what, text in (("", SENT[kind]), ("refused ", f"{REFUSED[kind]} or 0 * {SENT[kind]}"))
            ],
            unit="suffix: /s",
            defaults={"min": 0},
        ),
        Panel(
            "Refused at the Collector",
            "Items that no back end takes, by sender and reason; the Collector's log has the names.",
            [
                query(
                    f"sum by (job, otelml_signal, otelml_drop_reason) (rate(otelml_collector_refused_total[{RATE}]))",
                    "{{job}} {{otelml_signal}}: {{otelml_drop_reason}}",
                )
            ],
            unit="suffix: /s",
            defaults={"min": 0},
        ),
    ],
)
"""Whether this dashboard is complete."""
