"""An alert that another alert explains is not sent; nothing else is held back. Asked of the real Alertmanager.

Public reports: prometheus/alertmanager#1727 and #507. A label of `equal` that neither alert has counts as equal, so
that one alert silenced all others.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import shortened
from alertmanager_server import running_alertmanager, send
from pipeline_servers import eventually
from webhook import Notice, webhook

CRITICAL = {"CollectorDown", "ModelNotServing", "PredictionErrorRate", "CollectorLosesData"}

Labels = dict[str, str]


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def alert(name: str, **labels: str) -> Labels:
    return {"alertname": name, "severity": "critical" if name in CRITICAL else "warning", **labels}


def model(name: str, **labels: str) -> Labels:
    """An alert about the model `fraud` of the service `api`."""
    return alert(name, job="api", ml_model_name="fraud", **labels)


CASES: dict[str, tuple[list[Labels], list[Labels], list[Labels]]] = {
    "a dead Collector explains what is absent in its cluster, not what is measured, nor other clusters": (
        [alert("CollectorDown", job="otelcol", k8s_cluster_name="a")],
        [
            model("ModelNotServing", k8s_cluster_name="a"),
            model("ModelNotServing", k8s_cluster_name="a", team="x"),
            alert("ModelReplicaLost", job="api", ml_model_name="churn", k8s_cluster_name="a"),
            alert("SamplerDown", job="node", k8s_cluster_name="a"),
        ],
        [
            model("ModelNotServing", k8s_cluster_name="b"),
            alert("ModelReplicaLost", job="api", ml_model_name="churn", k8s_cluster_name="b"),
            alert("SamplerDown", job="node", k8s_cluster_name="b"),
            model("ModelNotServing"),
            model("PredictionErrorRate", k8s_cluster_name="a", k8s_namespace_name="other"),
        ],
    ),
    "where nothing has a cluster, a dead Collector is about all services, and still only about what is absent": (
        [alert("CollectorDown", job="otelcol")],
        [model("ModelNotServing")],
        [
            alert("GpuFailed", job="node"),
            alert("CollectorQueueNearlyFull", job="otelcol", exporter="x"),
            alert("HighPredictionLatency", job="other", ml_model_name="fraud"),
        ],
    ),
    "some of several Collectors explain fewer replicas and samplers, not a model that is gone": (
        [alert("CollectorDown", job="otelcol", k8s_cluster_name="a") | {"severity": "warning"}],
        [
            alert("ModelReplicaLost", job="api", ml_model_name="churn", k8s_cluster_name="a"),
            alert("SamplerDown", job="node", k8s_cluster_name="a"),
        ],
        [model("ModelNotServing", k8s_cluster_name="a"), model("ModelReplicaLost", k8s_cluster_name="b")],
    ),
    "a model that no process serves explains its other alerts, not those of other models, jobs or namespaces": (
        [model("ModelNotServing", k8s_namespace_name="c")],
        [
            model("PredictionErrorRate", k8s_namespace_name="c", ml_model_version="1", ml_model_role="primary"),
            model("FeatureDrift", k8s_namespace_name="c", ml_feature_name="income"),
        ],
        [
            alert("PredictionErrorRate", job="api", ml_model_name="churn", k8s_namespace_name="c"),
            alert("PredictionErrorRate", job="web", ml_model_name="fraud", k8s_namespace_name="c"),
            model("PredictionErrorRate", k8s_namespace_name="d"),
            alert("TelemetryLost", job="api", k8s_namespace_name="c"),
        ],
    ),
    "a model that still runs explains nothing": (
        [],
        [],
        [
            {**model("ModelNotServing"), "severity": "warning"},
            model("HighPredictionLatency", ml_model_version="1"),
        ],
    ),
    "an exporter that loses data explains its own full queue": (
        [alert("CollectorLosesData", job="otelcol", exporter="logs")],
        [alert("CollectorQueueNearlyFull", job="otelcol", exporter="logs")],
        [alert("CollectorQueueNearlyFull", job="otelcol", exporter="traces")],
    ),
    "calls that fail now explain the error budget that they spend, not that of latency": (
        [model("PredictionErrorRate", ml_model_version="1")],
        [model("ErrorBudgetBurn", ml_slo="errors") | {"severity": "critical"}],
        [model("ErrorBudgetBurn", ml_slo="latency")],
    ),
    "slow calls explain the message about the budget that they spend, not the page, and nothing about errors": (
        [model("HighPredictionLatency", ml_model_version="1")],
        [model("ErrorBudgetBurn", ml_slo="latency")],
        [
            model("ErrorBudgetBurn", ml_slo="errors"),
            alert("ErrorBudgetBurn", job="web", ml_model_name="fraud", ml_slo="latency"),
        ],
    ),
    "a page about the budget of latency is sent beside the message about slow calls": (
        [],
        [],
        [
            model("HighPredictionLatency", ml_model_version="1"),
            model("ErrorBudgetBurn", ml_slo="latency") | {"severity": "critical"},
        ],
    ),
    "a critical alert explains the warning of the same alert about the same model and version": (
        [model("ErrorBudgetBurn", ml_model_version="1") | {"severity": "critical"}],
        [model("ErrorBudgetBurn", ml_model_version="1")],
        [
            model("ErrorBudgetBurn", ml_model_version="2"),
            model("ErrorBudgetBurn", ml_model_version="1", ml_slo="latency"),
            alert("ErrorBudgetBurn", job="api", ml_model_name="churn", ml_model_version="1"),
        ],
    ),
}


@dataclass
class Running:
    """Alertmanager with the inhibitions as shipped, and what it has sent."""

    address: str
    notices: list[Notice]

    def suppressed(self) -> list[Labels]:
        with urllib.request.urlopen(self.address + "/api/v2/alerts") as response:
            found: list[dict[str, Any]] = json.load(response)
        return in_order([each["labels"] for each in found if each["status"]["state"] == "suppressed"])

    def end(self, alerts: list[dict[str, Any]]) -> None:
        """Ends the alerts of a case, so that they explain nothing in the next one."""
        send(self.address, *({**each, "endsAt": now()} for each in alerts))
        eventually(lambda: not self.suppressed())
        self.notices.clear()

    def sent(self) -> list[Labels]:
        """The labels of the alerts that have been sent, each once: a group repeats its alerts when one is new."""
        firing = [notice.labels for notice in list(self.notices) if notice.status == "firing"]
        return in_order([labels for at, labels in enumerate(firing) if labels not in firing[:at]])


def in_order(alerts: list[Labels]) -> list[Labels]:
    return sorted(alerts, key=lambda labels: sorted(labels.items()))


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One Alertmanager for all cases; its groups wait for 200 ms."""
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    notices: list[Notice] = []
    with webhook(notices.extend) as address:
        config = shortened.write_alertmanager(folder, address, factor=150)
        with running_alertmanager(config, folder) as running:
            yield Running(running, notices)


@pytest.mark.parametrize("case", CASES)
def test_only_what_another_alert_explains_is_held_back(alertmanager: Running, case: str) -> None:
    """Exactly the alerts that follow from another one are not sent."""
    environment = {"deployment_environment_name": f"case {list(CASES).index(case)}"}
    sources, targets, others = ([{**labels, **environment} for labels in part] for part in CASES[case])
    began = now()  # an old alert is sent at once, before the one that explains it
    alerts = [{"labels": labels, "annotations": {}, "startsAt": began} for labels in sources + targets + others]
    send(alertmanager.address, *alerts)
    wanted = (in_order(sources + others), in_order(targets))
    try:
        eventually(lambda: (alertmanager.sent(), alertmanager.suppressed()) == wanted)
    finally:
        alertmanager.end(alerts)
