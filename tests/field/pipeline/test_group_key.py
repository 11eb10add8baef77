"""One service in two clusters, namespaces or teams is two services: no rule, alert or panel adds them up.

Sources: kubernetes-sigs/kubernetes-mixin#695 and #766 (alerts without the cluster add clusters up or cannot name the sick one), #1213
(`and on` without the cluster matches another cluster's series, without an error), #581 (panels mix namespaces of one name); rook/rook#13274
(duplicate series: the rule ends).
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import promtool
import pytest
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pipeline_servers import collector_environment, eventually, otlp_backend, running_collector

KEY = {"job", "deployment_environment_name", "k8s_cluster_name", "k8s_namespace_name", "team"}
BY_COLLECTOR = (["k8s_cluster_name"], [""])
"""A Collector serves a cluster, or all that there is."""
OF_ONE_PROCESS = (["job", "instance"], ["job", "instance", "ml_model_name"], ["job"])
"""What stays when the rest of the key changes: a scraped process and its `up`, and what goes on under other labels."""
CHOICES = ("job", "environment", "cluster", "namespace", "team")
PLACES = ({}, {"k8s_cluster_name": "eu", "k8s_namespace_name": "loans", "team": "risk"})
DEPLOY = promtool.ROOT / "deploy"
FILES = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((promtool.PROMETHEUS / "tests").glob("*.yaml"))}


def alert_tests() -> dict[str, list[dict[str, Any]]]:
    """Returns, by file, the test with the fewest series in which an alert fires, for each alert about series."""
    least: dict[str, tuple[int, str, dict[str, Any]]] = {}
    for name, file in FILES.items():
        for test in (test for test in file["tests"] if "input_series" in test):
            for alert in sorted(
                {case["alertname"] for case in test.get("alert_rule_test", []) if case.get("exp_alerts")}
            ):
                size = len(test["input_series"])
                if alert not in least or size < least[alert][0]:
                    least[alert] = (size, name, test)
    found: dict[str, list[dict[str, Any]]] = {}
    for _, name, test in least.values():
        tests = found.setdefault(name, [])
        if test not in tests:
            tests.append(test)
    return found


TESTS = alert_tests()


def in_every_place(test: dict[str, Any]) -> dict[str, Any]:
    """Returns the test of an alert with each of its series, and each alert that it expects, once for each place."""
    series = [
        each | {"series": each["series"].replace("{", "{" + labels, 1)}
        for labels in ("".join(f'{key}="{text}", ' for key, text in place.items()) for place in PLACES)
        for each in test["input_series"]
    ]
    cases = [
        case
        | {
            "exp_alerts": [
                each | {"exp_labels": each["exp_labels"] | place}
                for each in case.get("exp_alerts", [])
                for place in PLACES
            ]
        }
        for case in test["alert_rule_test"]
    ]
    return test | {"input_series": series, "alert_rule_test": cases, "promql_expr_test": []}


@pytest.mark.parametrize("name", TESTS)
def test_alerts_of_one_place_are_those_of_many(name: str, tmp_path: Path) -> None:
    """A service that runs in two places has the alerts of each of them, and their texts and numbers."""
    rules = [str(promtool.PROMETHEUS / "tests" / each) for each in FILES[name]["rule_files"]]
    file = tmp_path / "places.yaml"
    file.write_text(
        json.dumps(FILES[name] | {"rule_files": rules, "tests": [in_every_place(each) for each in TESTS[name]]})
    )

    done = subprocess.run([promtool.binary(), "test", "rules", "--diff", str(file)], capture_output=True, text=True)

    assert done.returncode == 0, (done.stdout + done.stderr)[:5000]


def test_rules_and_alerts_group_by_the_whole_key() -> None:
    """Whatever a rule or an alert groups or joins by, the whole key of the service is part of it."""
    files = [*promtool.PROMETHEUS.glob("rules/*.yaml"), *promtool.PROMETHEUS.glob("alerts/*.yaml")]

    lists = [labels.split(", ") for file in files for labels in re.findall(r"\b(?:by|on) \((.*?)\)", file.read_text())]

    assert len(lists) > 900
    assert [labels for labels in lists if not {*labels} >= KEY and labels not in (*BY_COLLECTOR, *OF_ONE_PROCESS)] == []


DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_choose_and_show_the_place(file: Path) -> None:
    """Panels select by cluster, namespace and team as they do by service, and no row of a table adds up two clusters."""
    dashboard = json.loads(file.read_text())
    text = json.dumps([panel["targets"] for panel in dashboard["panels"] if "targets" in panel])

    selectors = [each for each in re.findall(r"{(.*?)}", text.replace("\\", "")) if "$job" in each]
    rows = [labels for labels in re.findall(r"\b(?:by|on) \((.*?)\)", text) if "ml_model_name" in labels]

    assert len(selectors) > 5
    assert [each for each in selectors if not all(f'"${name}"' in each for name in CHOICES)] == []
    assert [labels for labels in rows if not {"k8s_cluster_name", "k8s_namespace_name"} <= {*labels.split(", ")}] == []
    assert {*CHOICES} <= {variable["name"] for variable in dashboard["templating"]["list"]}


def test_the_collector_says_where_it_runs(otelcol: Path, tmp_path: Path) -> None:
    """The Collector's own series have the cluster, environment and namespace of the services: CollectorDown is about their cluster."""
    place = {"OTELCOL_CLUSTER": "eu", "OTELCOL_ENVIRONMENT": "prod"}
    place |= {"OTEL_RESOURCE_ATTRIBUTES": "k8s.namespace.name=ml", "OTELCOL_SELF_INTERVAL_MS": "100"}
    with otlp_backend() as backend:
        environment = collector_environment(backend.address, tmp_path, **place)
        with running_collector(otelcol, environment, tmp_path):
            sent = eventually(lambda: backend.received("/v1/metrics"))[0]
    assert isinstance(sent, ExportMetricsServiceRequest)
    found = {each.key: each.value.string_value for each in sent.resource_metrics[0].resource.attributes}
    assert {key: found.get(key) for key in ("k8s.cluster.name", "deployment.environment.name", "k8s.namespace.name")} == {
        "k8s.cluster.name": "eu", "deployment.environment.name": "prod", "k8s.namespace.name": "ml",
    }  # fmt: skip
