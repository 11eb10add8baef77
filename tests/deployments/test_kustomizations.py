"""The kustomizations, built as `kubectl apply -k` builds them: the API takes them, and everything they refer to is there."""

from __future__ import annotations

import re
from functools import cache

import pytest
import yaml
from kubernetes_objects import (
    KUBERNETES,
    PINNED,
    ROOT,
    Object,
    containers,
    kustomized,
    name,
    selects,
    unresolved,
    validate,
    workloads,
)

FOLDERS = (".", "overlays/teams", "operator")
"""What a reader applies; together they hold all manifests."""
SENDS = {"key": "otel-ml/team", "operator": "Exists"}

built = cache(kustomized)


def one(folder: str, kind: str, title: str) -> Object:
    """The object of a kind with this name, whatever hash follows it."""
    (found,) = [
        each
        for each in built(folder)
        if each["kind"] == kind and re.fullmatch(rf"{title}(-[a-z0-9]{{10}})?", name(each)[2])
    ]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_api_takes_every_object(folder: str) -> None:
    """Each object is valid against the API schema, or that of the operator's resources, without unknown fields."""
    for each in built(folder):
        validate(each)
    assert len({name(each) for each in built(folder)}) == len(built(folder))


@pytest.mark.parametrize("folder", FOLDERS[:2])
def test_every_reference_resolves(folder: str) -> None:
    """Volumes, keys, accounts, ports, selectors and addresses name what the same kustomization or the reader makes."""
    assert unresolved(built(folder)) == []


@pytest.mark.parametrize("folder", FOLDERS[:2])
def test_nothing_that_cannot_change_holds_a_version(folder: str) -> None:
    """An upgrade changes no selector and no claim of a StatefulSet, which Kubernetes refuses: neither holds a version.

    Sources: VictoriaMetrics/helm-charts#3035, grafana/helm-charts#1922, open-telemetry/opentelemetry-operator#1117.
    """
    for each, _ in workloads(built(folder)):
        selector = each["spec"]["selector"]["matchLabels"]
        assert set(selector) <= {f"app.kubernetes.io/{part}" for part in ("name", "instance", "component")}
        for claim in each["spec"].get("volumeClaimTemplates", ()):
            assert set(claim["metadata"]) == {"name"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_pod_gets_variables_of_other_services(folder: str) -> None:
    """A Service named `otelcol-http` in the namespace changes no setting of a Collector.

    Sources: windoze95/cantinarr#249, ScreamingFace/screamingface#538.
    """
    assert [name(each) for each, spec in workloads(built(folder)) if spec.get("enableServiceLinks") is not False] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_probe_waits_for_a_process_that_is_busy(folder: str) -> None:
    """A process without CPU to spare answers after seconds; by default Kubernetes waits for one, then ends it.

    Source: odigos-io/odigos#3392.
    """
    for each, spec in workloads(built(folder)):
        for container in containers(spec):
            for probe in ("livenessProbe", "readinessProbe"):
                assert container.get(probe, {"timeoutSeconds": 5}).get("timeoutSeconds", 1) >= 5, (name(each), probe)


def test_every_folder_is_part_of_what_is_applied() -> None:
    """No manifest lies beside the kustomizations unused, and none is missing."""
    used: set[str] = set()
    waiting = [KUBERNETES / folder for folder in FOLDERS]
    while waiting:
        folder = waiting.pop()
        content = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        for resource in [*content.get("resources", []), *content.get("components", [])]:
            path = (folder / resource).resolve()
            if path.is_dir():
                waiting.append(path)
            else:
                used.add(str(path.relative_to(KUBERNETES)))
    manifests = {str(path.relative_to(KUBERNETES)) for path in KUBERNETES.rglob("*.yaml")} - {
        str(path.relative_to(KUBERNETES)) for path in KUBERNETES.rglob("kustomization.yaml")
    }
    assert used == manifests


@pytest.mark.parametrize("folder", FOLDERS[:2])
def test_every_container_is_confined(folder: str) -> None:
    """Containers have no root, no privileges, a read-only disk, requests and limits; servers have probes; images are pinned."""
    for workload, spec in workloads(built(folder)):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}
            assert PINNED.fullmatch(container["image"]), container["image"]
        if workload["kind"] != "DaemonSet":
            assert {"readinessProbe", "livenessProbe", "startupProbe"} <= set(spec["containers"][0])


@pytest.mark.parametrize("folder", FOLDERS[:2])
def test_a_start_may_take_the_time_that_full_queues_need(folder: str) -> None:
    """After an outage each start compacts the queues first: killed meanwhile, a Collector would never come up.

    open-telemetry/opentelemetry-collector-contrib#32456, open-telemetry/opentelemetry-helm-charts#1152; seen on a busy
    machine: 50 s a GiB.
    """
    collectors = [(each, spec) for each, spec in workloads(built(folder)) if spec["containers"][0]["name"] == "otelcol"]
    assert collectors != []
    for workload, spec in collectors:
        volume = workload["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        probe = spec["containers"][0]["startupProbe"]
        assert probe["failureThreshold"] * probe["periodSeconds"] >= 120 * int(volume.removesuffix("Gi"))


@pytest.mark.parametrize("folder", FOLDERS[:2])
def test_a_node_can_be_drained(folder: str) -> None:
    """A disruption budget lets one pod go, also where there is one only. helm/charts#7127, Vexa-ai/vexa#1100."""
    budgets = [each["spec"] for each in built(folder) if each["kind"] == "PodDisruptionBudget"]
    assert budgets != []
    assert {budget.get("maxUnavailable") for budget in budgets} == {1}


def test_only_the_samplers_of_nodes_see_the_host() -> None:
    """A host path needs a namespace of the level `privileged`; all others are `restricted`.

    anselem-okeke/Deploy-confidence-service#10: a DaemonSet in a restricted namespace has no pods, and nobody is told.
    """
    levels = {
        name(each)[2]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for each in built("overlays/teams")
        if each["kind"] == "Namespace"
    }
    hosts = {
        name(workload)[1]
        for workload, spec in workloads(built("overlays/teams"))
        if any("hostPath" in volume for volume in spec.get("volumes", []))
    }
    assert levels == {"otel-ml": "restricted", "otel-ml-nodes": "privileged"}
    assert hosts == {"otel-ml-nodes"}


def test_a_label_admits_the_namespace_of_a_team() -> None:
    """The policy lets pods of the own namespace and of namespaces with the label `otel-ml/team` in; that of the samplers has it."""
    (rule,) = one("overlays/teams", "NetworkPolicy", "otel-ml-collector")["spec"]["ingress"]
    samplers = one("overlays/teams", "Namespace", "otel-ml-nodes")

    assert rule["from"] == [{"podSelector": {}}, {"namespaceSelector": {"matchExpressions": [SENDS]}}]
    assert "otel-ml/team" in samplers["metadata"]["labels"]


def test_a_sender_stays_with_one_collector() -> None:
    """Points of one series take one way, and so arrive in order."""
    assert one("overlays/teams", "StatefulSet", "otel-ml-collector")["spec"]["replicas"] == 2
    assert one("overlays/teams", "Service", "otel-ml-collector")["spec"]["sessionAffinity"] == "ClientIP"


def test_every_collector_knows_every_gateway() -> None:
    """Each gateway is named once, by a name that stays when its pod starts again, and takes a token of the Collectors only."""
    gateways = one("overlays/teams", "StatefulSet", "otel-ml-gateway")
    service = one("overlays/teams", "Service", "otel-ml-gateway")["spec"]
    (rule,) = one("overlays/teams", "NetworkPolicy", "otel-ml-gateway")["spec"]["ingress"]
    (container,) = one("overlays/teams", "StatefulSet", "otel-ml-collector")["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each for each in container["env"]}

    names = [
        f"otel-ml-gateway-{number}.otel-ml-gateway.otel-ml.svc:4317" for number in range(gateways["spec"]["replicas"])
    ]
    assert variables["OTELCOL_GATEWAYS"]["value"].split(",") == names
    assert (gateways["spec"]["serviceName"], service["clusterIP"]) == ("otel-ml-gateway", "None")
    # A pod that is not ready yet would have no name, and the resolver waits long before it asks again.
    assert service["publishNotReadyAddresses"] is True
    assert variables["OTELCOL_GATEWAY_TOKEN_FILE"]["value"] == "/etc/otelcol-tokens/gateway"
    assert rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "collector"


def test_samplers_of_nodes_with_and_without_gpus_share_no_node() -> None:
    """The DaemonSet with NVIDIA's runtime class runs where the label is, the other one where it is not: never both, never none."""
    rules = {}
    for workload, spec in workloads(built("overlays/teams")):
        if workload["kind"] == "DaemonSet":
            (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
                "nodeSelectorTerms"
            ]
            rules[spec.get("runtimeClassName")] = term["matchExpressions"]
    assert rules == {
        "nvidia": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}],
        None: [{"key": "nvidia.com/gpu.present", "operator": "DoesNotExist"}],
    }


def test_replicas_of_the_service_share_the_store_of_labels() -> None:
    """With more than one replica predictions and labels are in PostgreSQL, and only the service may connect."""
    deployment = one(".", "Deployment", "employment-api")
    settings = one(".", "ConfigMap", "employment-api-telemetry")["data"]
    (store,) = selects({"app.kubernetes.io/name": "postgresql"}, built("."), "otel-ml")
    policy = one(".", "NetworkPolicy", "postgresql")["spec"]["ingress"]

    assert deployment["spec"]["replicas"] == 2
    assert settings["EXAMPLE_STORE"] == "postgresql://otel_ml@postgresql/otel_ml"
    assert {each["name"]: each.get("value") for each in containers(store["spec"]["template"]["spec"])[0]["env"]}[
        "POSTGRES_USER"
    ] == "otel_ml"
    assert policy[0]["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "employment-api"}}}]


def test_the_sampler_is_a_sidecar_of_the_service() -> None:
    """The sampler starts before the service, ends after it, sees its processes, and sends under the service's name."""
    spec = one(".", "Deployment", "employment-api")["spec"]["template"]["spec"]
    sampler, service = containers(spec)
    assert sampler["command"] == ["otel-ml", "sampler", "--mode", "sidecar", "--name", "uvicorn"]
    assert (sampler["restartPolicy"], spec["shareProcessNamespace"]) == ("Always", True)
    assert sampler["envFrom"] == service["envFrom"]


def test_alertmanager_is_scraped_under_the_name_that_the_alerts_read() -> None:
    """*AlertsNotSent* reads `up{job="alertmanager"}`, *AlertsNotDelivered* a metric that is kept."""
    (endpoint,) = one("operator", "ServiceMonitor", "otel-ml-alertmanager")["spec"]["endpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "alertmanager"}]
    alerts = (ROOT / "deploy" / "prometheus" / "alerts" / "alerting.yaml").read_text(encoding="utf-8")
    assert 'up{job="alertmanager"}' in alerts
    assert set(re.findall(r"\balertmanager_\w+", alerts)) == {endpoint["metricRelabelings"][0]["regex"]}


def test_every_configuration_is_in_its_map() -> None:
    """Files that the Collector can merge, rules, alerts and dashboards: all that is in the folders, as it is there."""
    folders = {
        "otel-ml-collector": ROOT / "collector",
        "otel-ml-rules": ROOT / "deploy" / "prometheus" / "rules",
        "otel-ml-alerts": ROOT / "deploy" / "prometheus" / "alerts",
    }
    for title, folder in folders.items():
        files = {
            path.name: path.read_text()
            for path in folder.glob("*.yaml")
            if not path.stem.endswith(("builder", "kustomization"))
        }
        assert one("overlays/teams", "ConfigMap", title)["data"] == files
    dashboards = {
        file: text
        for each in built("overlays/teams")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for file, text in each["data"].items()
    }
    assert dashboards == {
        path.name: path.read_text() for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")
    }
