"""The rows about the telemetry itself: what was lost on the way, and whether rules and alerts work."""

from __future__ import annotations

from rows.panels import (
    CHOSEN_PLACE,
    CHOSEN_PROCESSES,
    CHOSEN_SERVICE,
    LIMIT,
    RATE,
    SERVICE,
    SHARE,
    Json,
    Panel,
    Row,
    limit,
    query,
    service_limit,
)

PER_SECOND = "suffix: /s"
PROCESS = "{{job}} {{instance}}"


def records_of(fate: str, selected: str = CHOSEN_PROCESSES) -> str:
    return f"sum by ({SERVICE}, otelml_signal) (increase(otelml_export_{fate}_total{{{selected}}}[{RATE}]))"


LOST = f"({records_of('dropped')} or 0 * {records_of('produced')})"
REJECTED = f"({records_of('rejected')} or 0 * {records_of('produced')})"
SENDERS = Row(
    "Services",
    [
        Panel(
            "Records Delivered",
            "Spans, metric exports and log records that the first hop accepted.",
            [query(records_of("delivered"), "{{job}} {{otelml_signal}}")],
            defaults={"min": 0},
        ),
        Panel(
            "Records Lost",
            "Dropped by the service or refused by the first hop. The other dashboards lack them.",
            [query(f"{LOST} + {REJECTED}", "{{job}} {{otelml_signal}}")],
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Records in Flight",
            "Not yet delivered, rejected or dropped. It grows while the Collector is away.",
            [
                query(
                    f"sum by ({SERVICE}, otelml_signal) (otelml_export_in_flight{{{CHOSEN_PROCESSES}}})",
                    "{{job}} {{otelml_signal}}",
                )
            ],
            defaults={"min": 0},
        ),
        Panel(
            "Oldest Record in a Queue",
            "How long the oldest record has waited for the Collector.",
            [
                query(
                    f"max by ({SERVICE}, otelml_signal) (otelml_export_queue_age_seconds{{{CHOSEN_PROCESSES}}})",
                    "{{job}} {{otelml_signal}}",
                )
            ],
            unit="s",
            defaults={"min": 0},
        ),
        Panel(
            "Errors inside otel-ml",
            "Exceptions that were caught; the service did not see them. Its log names the first of each kind.",
            [
                query(
                    f"sum by ({SERVICE}) (increase(otelml_internal_errors_total{{{CHOSEN_PROCESSES}}}[{RATE}]))",
                    "{{job}}",
                )
            ],
            width=12,
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Outputs Not Recognised",
            "Results of models in which no prediction was found: they are missing in the counts of classes and scores.",
            [
                query(
                    f"sum by ({SERVICE}) (increase(otelml_unrecognised_outputs_total{{{CHOSEN_PROCESSES}}}[{RATE}]))",
                    "{{job}}",
                )
            ],
            width=12,
            defaults={"min": 0, **limit(1)},
        ),
    ],
)
"""What left the services."""

KINDS = ("spans", "metric_points", "log_records")


def collectors(counter: str, by: str, more: str = "") -> str:
    """The rate of a counter of the chosen Collectors."""
    return f"sum by ({by}) (rate(otelcol_{counter}_total{{{CHOSEN_PLACE}{more}}}[{RATE}]))"


SENT = {kind: collectors(f"exporter_sent_{kind}", "exporter") for kind in KINDS}
FAILED = {kind: collectors(f"exporter_send_failed_{kind}", "exporter") for kind in KINDS}
REFUSED = f"rate(otelml_collector_refused_total{{{CHOSEN_SERVICE}}}[{RATE}])"


def received(what: str, legend: str) -> list[Json]:
    return [
        query(collectors(f"receiver_{what}_{kind}", "instance"), f"{legend}{kind.replace('_', ' ')} {{{{instance}}}}")
        for kind in KINDS
    ]


COLLECTORS = Row(
    "Collectors",
    [
        Panel(
            "Taken by the Collectors",
            "Records per second, and those that it refused because its memory was full: senders send them again.",
            [*received("accepted", ""), *received("refused", "refused ")],
            unit=PER_SECOND,
            defaults={"min": 0},
        ),
        Panel(
            "Collector Exports",
            "Records per second that the back ends accepted, and that they refused for good.",
            [
                query(text, f"{{{{exporter}}}} {what}{kind.replace('_', ' ')}")
                for kind in KINDS
                for what, text in (("", SENT[kind]), ("refused ", f"{FAILED[kind]} or 0 * {SENT[kind]}"))
            ],
            unit=PER_SECOND,
            defaults={"min": 0},
        ),
        Panel(
            "Collector Queues",
            "How full the queues on disk are; at 100 % data is lost.",
            [
                query(
                    f"otelcol_exporter_queue_size{{{CHOSEN_PLACE}}} "
                    f"/ otelcol_exporter_queue_capacity{{{CHOSEN_PLACE}}}",
                    "{{exporter}} {{data_type}} {{instance}}",
                ),
                service_limit("service:otelcol_queue_share:limit", CHOSEN_PLACE),
            ],
            unit="percentunit",
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "Refused at the Collector",
            "Items that no back end takes, by sender and reason; the Collector's log has the names.",
            [
                query(
                    f"sum by ({SERVICE}, otelml_signal, otelml_drop_reason) ({REFUSED})",
                    "{{job}} {{otelml_signal}}: {{otelml_drop_reason}}",
                )
            ],
            unit=PER_SECOND,
            defaults={"min": 0},
        ),
        Panel(
            "Collector Memory",
            "Resident memory of each Collector. Near its limit it refuses records; see `OTELCOL_MEMORY_MIB`.",
            [query(f"otelcol_process_memory_rss_bytes{{{CHOSEN_PLACE}}}", PROCESS)],
            unit="bytes",
            defaults={"min": 0},
        ),
        Panel(
            "Collector CPU",
            "Number of CPUs that each Collector uses.",
            [query(f"rate(otelcol_process_cpu_seconds_total{{{CHOSEN_PLACE}}}[{RATE}])", PROCESS)],
            defaults={"min": 0},
        ),
        Panel(
            "Collector Uptime",
            "A sawtooth is a Collector that keeps restarting.",
            [query(f"last_over_time(otelcol_process_uptime_seconds_total{{{CHOSEN_PLACE}}}[{RATE}])", PROCESS)],
            unit="s",
            defaults={"min": 0},
        ),
        Panel(
            "Queue Files Set Aside",
            "Files of queues that were damaged, and their records with them.",
            [query(f"otelcol_file_storage_set_aside{{{CHOSEN_PLACE}}}", PROCESS)],
            defaults={"min": 0, "decimals": 0, **limit(1)},
        ),
    ],
)
"""What the Collectors took, and what became of it."""

SERVERS = Row(
    "Prometheus and Alertmanager",
    [
        Panel(
            "Series",
            "Series that Prometheus holds in memory, and samples that it takes per second.",
            [
                query("prometheus_tsdb_head_series", "series {{instance}}"),
                query(
                    f"sum by (job, instance) (rate(prometheus_tsdb_head_samples_appended_total[{RATE}]))",
                    "samples/s {{instance}}",
                ),
            ],
            defaults={"min": 0},
        ),
        Panel(
            "Size of the Blocks",
            "Disk that Prometheus needs for all but the newest hours; see `retention` in prometheus.yml.",
            [query("prometheus_tsdb_storage_blocks_bytes", "{{instance}}")],
            unit="bytes",
            defaults={"min": 0},
        ),
        Panel(
            "Slowest Group of Rules",
            "Time of its last evaluation, as a share of its interval. Above 100 % evaluations are skipped.",
            [
                query(
                    "max by (job, instance) (prometheus_rule_group_last_duration_seconds "
                    "/ prometheus_rule_group_interval_seconds)",
                    "{{instance}}",
                )
            ],
            unit="percentunit",
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Rules and Alerts That Failed",
            "Evaluations that failed, alerts that Prometheus could not hand over, and messages that reached nobody.",
            [
                query(
                    f"sum by (job, instance) (increase(prometheus_rule_evaluation_failures_total[{RATE}]))",
                    "rules {{instance}}",
                ),
                query(
                    f"sum by (job, instance) (increase(prometheus_notifications_dropped_total[{RATE}]))",
                    "alerts not handed over {{instance}}",
                ),
                query(
                    f"sum by (job, instance, integration) (increase(alertmanager_notifications_failed_total[{RATE}]))",
                    "messages by {{integration}} {{instance}}",
                ),
            ],
            defaults={"min": 0, **limit(1)},
        ),
    ],
)
"""They serve all services: no variable selects them."""
