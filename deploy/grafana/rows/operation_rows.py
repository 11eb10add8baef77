"""The rows about calls and about single predictions."""

from __future__ import annotations

from rows.panels import (
    CALLS,
    CHOSEN_MODEL,
    CHOSEN_PROCESSES,
    CHOSEN_REPLICAS,
    LOKI,
    MODEL,
    NAME,
    RATE,
    SERVICE,
    TEMPO,
    Panel,
    Row,
    quantile,
    query,
)

LATENCY = [
    query(quantile(share, "ml_prediction_duration_seconds_bucket"), f"p{share * 100:g} {NAME}", exemplar=share == 0.95)
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
                    f"sum by ({MODEL}, error_type) (rate(ml_prediction_errors_total{{{CHOSEN_REPLICAS}}}[{RATE}]))",
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
            [query(f"sum by ({MODEL}) (rate(ml_predictions_total{{{CHOSEN_REPLICAS}}}[{RATE}])) / {CALLS}")],
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Calls in Flight",
            "Calls in progress, in all replicas.",
            [query(f"sum by ({MODEL}) (ml_prediction_active{{{CHOSEN_REPLICAS}}})")],
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

ROUTE_KEY = f"{SERVICE}, http_request_method, http_route"
REQUESTS_COUNTED = f"http_server_request_duration_seconds_count{{{CHOSEN_PROCESSES}}}"
_BUCKETS = f"http_server_request_duration_seconds_bucket{{{CHOSEN_PROCESSES}}}"
REQUEST_BUCKETS = f"sum by (le, {ROUTE_KEY}) (rate({_BUCKETS}[{RATE}]))"
ROUTE = "{{http_request_method}} {{http_route}} {{job}}"
REQUESTS = Row(
    "Requests to the service",
    [
        Panel(
            "Requests per Second",
            "Of each route, by status.",
            [
                query(
                    f"sum by ({ROUTE_KEY}, http_response_status_code) (rate({REQUESTS_COUNTED}[{RATE}]))",
                    f"{{{{http_response_status_code}}}} {ROUTE}",
                )
            ],
            unit="suffix: /s",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Request Latency (p95)",
            "Of each route, the model's time included. Each dot is one request: click it to open its trace.",
            [
                query(
                    f"histogram_quantile(0.95, {REQUEST_BUCKETS})",
                    ROUTE,
                    exemplar=True,
                )
            ],
            unit="s",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Requests in Progress",
            "Requests that the service has begun and not yet answered.",
            [
                query(
                    f"sum by ({SERVICE}, http_request_method) (http_server_active_requests{{{CHOSEN_PROCESSES}}})",
                    "{{http_request_method}} {{job}}",
                )
            ],
            width=8,
            defaults={"min": 0, "decimals": 0},
        ),
    ],
)
"""Empty for a model without an HTTP service."""

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
