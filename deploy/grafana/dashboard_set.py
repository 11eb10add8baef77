"""The set of dashboards: which rows and variables each of them has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import variables
from layout import placed
from rows.estimate_rows import ESTIMATES
from rows.fleet_rows import MODELS, SUMMARY
from rows.gateway_rows import GATEWAYS
from rows.links import TITLES, between, uid
from rows.machine_rows import MACHINE
from rows.model_rows import DRIFT, PREDICTIONS
from rows.objective_rows import OBJECTIVE_TABLE, OBJECTIVES, SPENDING
from rows.operation_rows import OPERATION, RECORDS, REQUESTS
from rows.panels import CHOSEN_MODEL, CHOSEN_PLACE, PROMETHEUS, Json, Row
from rows.performance_rows import CLASSES, PERFORMANCE, REGRESSION
from rows.resource_rows import GPUS, RESOURCES, SAMPLER
from rows.segment_rows import SEGMENTS
from rows.state_rows import STATE
from rows.telemetry_rows import COLLECTORS, SENDERS, SERVERS
from rows.version_rows import DECAY, VERSIONS

ABOUT_MODELS = f'{CHOSEN_MODEL}, ml_model_role!="shadow"'


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; `alerts` selects those that it marks on its time axis."""

    name: str
    description: str
    rows: list[Row]
    variables: list[Json]
    alerts: str = ABOUT_MODELS

    def json(self) -> Json:
        alerts = {
            "name": "Alerts",
            "datasource": PROMETHEUS,
            "enable": True,
            "iconColor": "red",
            "target": {"refId": "Anno", "expr": f'ALERTS{{alertstate="firing", severity!="none", {self.alerts}}}'},
            "titleFormat": "{{alertname}}",
            "textFormat": "{{ml_model_name}} {{ml_model_version}} {{ml_feature_name}}",
        }
        return {
            "uid": uid(self.name),
            "title": TITLES[self.name],
            "description": self.description,
            "tags": ["otel-ml"],
            "schemaVersion": 42,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "annotations": {"list": [alerts]},
            "links": between(self.name),
            "templating": {"list": [variables.METRICS, *self.variables]},
            "panels": placed(self.rows),
        }


def dashboards() -> Iterator[Dashboard]:
    """All dashboards, in the order of the links between them."""
    one_model = variables.of_models(variables.VERSION, variables.ROLE, variables.INSTANCE)
    yield Dashboard("fleet", "All models, worst first, and the alerts.", [SUMMARY, MODELS], variables.of_models())
    yield Dashboard(
        "model",
        "One model: its predictions, calls, versions and single predictions.",
        [PREDICTIONS, STATE, OBJECTIVES, OPERATION, REQUESTS, VERSIONS, RECORDS],
        [*variables.RECORDS, *one_model, variables.service()],
    )
    yield Dashboard(
        "data",
        "Inputs, outputs and labels of a model against its reference.",
        [DRIFT],
        [*one_model, variables.window(), variables.reference(), variables.feature()],
    )
    yield Dashboard(
        "performance",
        "How good a model is: by labels, by estimates, by segment, by version, over weeks.",
        [PERFORMANCE, ESTIMATES, SEGMENTS, CLASSES, REGRESSION, DECAY],
        [*one_model, variables.window()],
    )
    yield Dashboard(
        "slo",
        "Objectives, error budgets and how fast they are spent.",
        [OBJECTIVE_TABLE, SPENDING],
        variables.of_models(),
    )
    yield Dashboard(
        "resources",
        "Processes, containers, machines, GPUs. An empty panel means that nothing could be read; it is never a zero.",
        [RESOURCES, MACHINE, GPUS, SAMPLER],
        variables.of_processes(),
        CHOSEN_PLACE,
    )
    yield Dashboard(
        "telemetry",
        "Whether data is missing: services, Collectors, gateways, Prometheus and Alertmanager.",
        [SENDERS, COLLECTORS, GATEWAYS, SERVERS],
        variables.of_processes(),
        CHOSEN_PLACE,
    )
