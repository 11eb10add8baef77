"""The chart, rendered by Helm: `make faults` builds it, which takes minutes. The manifests that it gives are tested without it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import built_servers
import pytest
import render
import yaml
from kubernetes_objects import (
    ANNOTATION_BYTES,
    CHART,
    OBJECT_BYTES,
    ROOT,
    Object,
    charted,
    kustomized,
    name,
    unresolved,
    validate,
    workloads,
)

pytestmark = pytest.mark.slow
EVERYTHING = (
    "nodes.enabled",
    "nodes.gpu.enabled",
    "monitoring.rules",
    "monitoring.serviceMonitor",
    "monitoring.dashboards",
)
TEAMS = """
cluster: eu-1
environment: production
collector:
  replicas: 3
  memoryMiB: 1024
  queueGiB: 12
  storageClass: fast
  overlays: [console.yaml]
  config: |
    exporters: {otlp_http/metrics: {headers: {X-Scope-OrgID: ml}}}
  env: {OTELCOL_REDACT_KEYS: salary, OTELCOL_SLOW_MS: 200, OTELCOL_QUEUE_ITEMS: 5000000, OTELCOL_LOW_SCORE: 0.25}
  filesSecret: backend-certificates
  nodeSelector: {disk: ssd}
teams:
  payments:
    namespaces: [payments, payments-batch]
    message: {slack_configs: [{api_url_file: /etc/alertmanager/secrets/payments, channel: '#p', text: '{{ template "otelml.text" . }}'}]}
    page: {pagerduty_configs: [{routing_key_file: /etc/alertmanager/secrets/pager}]}
  risk:
    page: {webhook_configs: [{url_file: /etc/alertmanager/secrets/risk}]}
platform:
  message: {webhook_configs: [{url_file: /etc/alertmanager/secrets/all}]}
"""


def on(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", f"{setting}=true")]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


@pytest.fixture
def teams(tmp_path: Path) -> str:
    """The option that reads the values of many teams."""
    file = tmp_path / "teams.yaml"
    file.write_text(TEAMS)
    return f"--values={file}"


GATEWAYS = "gateway.enabled=true,gateway.replicas=3,collector.image=registry.example.org/all:0.161.0"


@pytest.mark.parametrize(
    "values",
    [
        [],
        on(*EVERYTHING),
        ["--set", GATEWAYS],
        ["--set", "alertmanager.enabled=false,collector.enabled=false", *on("nodes.enabled")],
    ],
    ids=["default", "everything", "gateways", "nodes"],
)
def test_what_the_chart_gives_is_valid_and_complete(values: list[str]) -> None:
    """The API takes each object, and all that they refer to is there."""
    objects = charted(*values)
    for each in objects:
        validate(each)
    assert unresolved(objects) == [] or "collector.enabled=false" in str(values)
    assert len({name(each) for each in objects}) == len(objects)


def test_the_chart_passes_lint(teams: str) -> None:
    """`helm lint --strict` has nothing to say."""
    done = subprocess.run(
        [built_servers.binary("helm"), "lint", "--strict", "--quiet", str(CHART), *on(*EVERYTHING), teams],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("piece", render.PIECES, ids=lambda piece: piece.file)
def test_the_manifests_are_those_of_the_chart(piece: render.Piece) -> None:
    """The files of the kustomizations are up to date: run `python deploy/kubernetes/render.py` after a change of the chart."""
    assert (render.HERE / piece.file).read_text() == render.render(built_servers.binary("helm"), piece)


def test_the_kustomization_gives_what_the_chart_gives() -> None:
    """Collector and Alertmanager are the same objects by both ways, with the same files in their ConfigMaps."""

    def known(objects: list[Object]) -> dict[tuple[str, str, str], Object]:
        text = re.sub(r'(otel-ml-[a-z]+)-[a-z0-9]{10}"', r'\1"', json.dumps(objects))
        found = {name(each): each for each in json.loads(text)}
        for _, namespace, title in found:
            workload = found.get(("StatefulSet", namespace, title), {"spec": {"template": {"metadata": {}}}})
            workload["spec"]["template"]["metadata"].pop("annotations", None)
        return found

    chart, ours = known(charted()), known(kustomized("base") + kustomized("alertmanager"))
    maps = [key for key in chart if key[0] == "ConfigMap"]
    for key in maps:
        data, other = chart.pop(key)["data"], ours.pop(key)["data"]
        assert {file: text for file, text in other.items() if file in data and not file.startswith("alertmanager")} == {
            file: text for file, text in data.items() if not file.startswith("alertmanager")
        }
    del ours["Namespace", "", "otel-ml"]
    assert len(maps) == 2
    assert ours == chart


def test_the_overlay_of_teams_gives_what_the_chart_gives() -> None:
    """Collectors and gateways of the overlay are those of the chart with the same values."""
    values = "gateway.enabled=true,collector.image=otel-ml-collector-gateway:0.161.0,collector.replicas=2,cluster=eu-1,environment=production"

    def known(objects: list[Object]) -> dict[str, tuple[object, ...]]:
        found = {}
        for each, spec in workloads(objects):
            (container,) = spec["containers"]
            if container["name"] == "otelcol":
                variables = {variable["name"]: variable for variable in container["env"]}
                found[each["metadata"]["name"]] = (each["spec"]["replicas"], {**container, "env": variables})
        return found

    assert known(kustomized("overlays/teams")) == known(charted("--set", values))


def test_the_collectors_of_the_chart_know_every_gateway() -> None:
    """With three gateways in another namespace there are three names."""
    objects = charted("--set", GATEWAYS, namespace="ml")
    (container,) = of_kind(objects, "StatefulSet")["otel-ml-collector"]["spec"]["template"]["spec"]["containers"]
    (names,) = (each["value"] for each in container["env"] if each["name"] == "OTELCOL_GATEWAYS")
    assert names.split(",") == [f"otel-ml-gateway-{number}.otel-ml-gateway.ml.svc:4317" for number in range(3)]


def test_overlays_of_collectors_and_of_gateways() -> None:
    """Each tier has its own overlays beside the file that makes it that tier."""
    overlays = "collector.overlays={hosted.yaml,clickhouse.yaml},gateway.overlays={clickhouse.yaml}"
    sets = of_kind(charted("--set", f"{GATEWAYS},{overlays},gateway.image=all:1"), "StatefulSet")

    def files(title: str) -> list[str]:
        arguments = sets[title]["spec"]["template"]["spec"]["containers"][0]["args"]
        return [Path(argument).stem for argument in arguments]

    assert files("otel-ml-collector") == ["agent", "remote", "hosted", "clickhouse", "to_gateway"]
    assert files("otel-ml-gateway") == ["agent", "remote", "gateway", "clickhouse"]


def test_gateways_behind_kafka() -> None:
    """Collectors that send to Kafka do not send to the gateways, which read from there."""
    overlays = "collector.overlays={to_kafka.yaml,kafka_tls.yaml},gateway.overlays={from_kafka.yaml,kafka_tls.yaml}"
    sets = of_kind(charted("--set", f"{GATEWAYS},{overlays},gateway.image=all:1"), "StatefulSet")
    found = [
        [Path(argument).stem for argument in sets[title]["spec"]["template"]["spec"]["containers"][0]["args"]]
        for title in ("otel-ml-collector", "otel-ml-gateway")
    ]
    assert found == [
        ["agent", "remote", "to_kafka", "kafka_tls"],
        ["agent", "remote", "gateway", "from_kafka", "kafka_tls"],
    ]


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ("gateway.enabled=true", "to_gateway.yaml needs another collector.image: otel-ml-collector-gateway"),
        ("collector.overlays={clickhouse.yaml}", "clickhouse.yaml needs another collector.image"),
        (f"{GATEWAYS},gateway.overlays={{from_kafka.yaml}}", "from_kafka.yaml needs another gateway.image"),
    ],
)
def test_files_that_need_the_larger_image(values: str, refused: str) -> None:
    """With the lean image, which lacks their components, the chart is refused and names the other one."""
    done = subprocess.run(
        [built_servers.binary("helm"), "template", str(CHART), "--set", values], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert refused in done.stderr


def test_values_of_many_teams(teams: str) -> None:
    """Sizes, files, variables, cluster, namespaces of teams and their receivers reach the objects.

    Source: helm/helm#1707 (a large number becomes 5e+06).
    """
    objects = charted(teams)
    collector = of_kind(objects, "StatefulSet")["otel-ml-collector"]["spec"]
    container = collector["template"]["spec"]["containers"][0]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    policy = of_kind(objects, "NetworkPolicy")["otel-ml-collector"]["spec"]["ingress"][0]["from"]

    for each in objects:
        validate(each)
    assert collector["replicas"] == 3
    assert container["args"] == [
        f"--config=/etc/otelcol/{file}.yaml" for file in ("agent", "remote", "console", "own_collector")
    ]
    assert container["resources"]["limits"]["memory"] == "1280Mi"
    assert container["startupProbe"]["failureThreshold"] == 60 * 12
    assert variables.items() >= {
        "OTELCOL_MEMORY_MIB": "1024", "GOMEMLIMIT": "1024MiB", "OTELCOL_QUEUE_BYTES": str(2 * 2**30), "OTELCOL_CLUSTER": "eu-1",
        "OTELCOL_ENVIRONMENT": "production", "OTELCOL_REDACT_KEYS": "salary", "OTELCOL_SLOW_MS": "200",
        "OTELCOL_QUEUE_ITEMS": "5000000", "OTELCOL_LOW_SCORE": "0.25",
    }.items()  # fmt: skip
    assert collector["volumeClaimTemplates"][0]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "12Gi"}},
    }
    assert policy[-1]["namespaceSelector"]["matchExpressions"][0]["values"] == ["payments", "payments-batch"]
    assert set(of_kind(objects, "ConfigMap")["otel-ml-collector"]["data"]) == {
        "agent.yaml",
        "remote.yaml",
        "console.yaml",
        "own_collector.yaml",
    }


def test_alerts_reach_the_teams_of_the_values(teams: str, tmp_path: Path) -> None:
    """Alertmanager takes the file; the example teams are gone; a team without a receiver of its own is the platform's."""
    data = of_kind(charted(teams), "ConfigMap")["otel-ml-alertmanager"]["data"]
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "otel-ml.tmpl").write_text(data["otel-ml.tmpl"])
    file = tmp_path / "alertmanager.yml"
    file.write_text(data["alertmanager.yml"])
    amtool = built_servers.binary("amtool")

    def receiver(**labels: str) -> str:
        command = [
            amtool,
            "config",
            "routes",
            "test",
            "--config.file",
            str(file),
            *(f"{key}={value}" for key, value in labels.items()),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    subprocess.run([amtool, "check-config", str(file)], check=True, capture_output=True)
    assert {
        (team, severity): receiver(team=team, severity=severity)
        for team in ("payments", "risk", "search")
        for severity in ("critical", "warning")
    } == {
        ("payments", "critical"): "payments-page",
        ("payments", "warning"): "payments",
        ("risk", "critical"): "risk-page",
        ("risk", "warning"): "platform",
        ("search", "critical"): "platform-page",
        ("search", "warning"): "platform",
    }
    assert "search" not in data["alertmanager.yml"]


def test_an_upgrade_can_change_any_value_but_the_volumes(teams: str) -> None:
    """What a StatefulSet, a Deployment or a DaemonSet cannot change does not follow from values or version.

    prometheus-community/helm-charts#5279, grafana/loki#23912.
    """

    def fixed(objects: list[Object]) -> dict[tuple[str, str, str], str]:
        kept = {}
        for each, _ in workloads(objects):
            spec = {key: each["spec"].get(key) for key in ("selector", "serviceName", "podManagementPolicy")}
            claims = [claim["metadata"] for claim in each["spec"].get("volumeClaimTemplates", [])]
            kept[name(each)] = json.dumps([spec, claims])
        return kept

    assert fixed(charted(*on(*EVERYTHING))) == fixed(charted(teams, *on(*EVERYTHING)))


def test_pods_have_the_password_of_the_registry() -> None:
    """`imagePullSecrets` reaches every pod."""
    objects = charted("--set", "imagePullSecrets={registry}", *on(*EVERYTHING))
    assert [spec.get("imagePullSecrets") for _, spec in workloads(objects)] == [[{"name": "registry"}]] * 4


def test_the_same_values_give_the_same_objects(teams: str) -> None:
    """A second rendering differs in nothing, so that an upgrade without a change restarts nothing."""
    assert charted(teams, *on(*EVERYTHING)) == charted(teams, *on(*EVERYTHING))


def test_a_variable_of_the_values_replaces_that_of_the_chart(tmp_path: Path) -> None:
    """No container has a variable twice: server-side apply, which Helm 4 uses, refuses the object.

    helm/helm#31529, opensearch-project/helm-charts#721, fleetdm/fleet#49546.
    """
    own = {"OTELCOL_QUEUE_BYTES": "500000000", "OTEL_RESOURCE_ATTRIBUTES": "team=ml", "OTELCOL_REDACT_KEYS": "salary"}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"collector": {"env": own}, "gateway": {"enabled": True, "env": own}}))
    image = "collector.image=registry.example.org/otel-ml-collector-gateway:0.161.0"
    objects = charted(f"--values={file}", "--set", image, *on(*EVERYTHING))
    for each, spec in workloads(objects):
        for container in spec["containers"]:
            variables = [variable["name"] for variable in container.get("env", ())]
            assert sorted(set(variables)) == sorted(variables), name(each)
            if container["name"] == "otelcol":
                values = {variable["name"]: variable.get("value") for variable in container["env"]}
                assert own.items() <= values.items()
                assert values["OTELCOL_MEMORY_MIB"] in ("512", "1024")
    assert unresolved(objects) == []


def test_openshift_chooses_the_users_of_the_pods() -> None:
    """Where the cluster has OpenShift's API no pod asks for a user or a group, which its namespaces refuse; all else is the same.

    goharbor/harbor-helm#874, jordigilh/kubernaut#335.
    """
    users = {"runAsUser", "runAsGroup", "fsGroup"}
    elsewhere, there = (
        charted(*on(*EVERYTHING)),
        charted("--api-versions", "security.openshift.io/v1", *on(*EVERYTHING)),
    )
    for _, spec in workloads(there):
        assert users & set(spec["securityContext"]) == set()
        assert spec["securityContext"]["runAsNonRoot"] is True
    for _, spec in workloads(elsewhere):
        assert users <= set(spec["securityContext"])
        for key in users:
            del spec["securityContext"][key]
    assert there == elsewhere


def test_rules_are_those_of_the_files(tmp_path: Path) -> None:
    """Each file is one object with the same groups; no text of an alert was taken for a template of Helm.

    prometheus-community/helm-charts#5508, #1573.
    """
    limits = tmp_path / "limits.yaml"
    limits.write_text("groups: [{name: own, rules: [{record: x, expr: '1'}]}]\n")
    runbook = "https://wiki.example.org/runbook"
    objects = of_kind(
        charted(
            *on("monitoring.rules"),
            "--set-file",
            f"monitoring.limits={limits}",
            "--set",
            f"monitoring.runbook={runbook}",
        ),
        "PrometheusRule",
    )
    files = [*(ROOT / "deploy/prometheus/rules").glob("*.yaml"), *(ROOT / "deploy/prometheus/alerts").glob("*.yaml")]

    expected = {f"otel-ml-{path.parent.name}-{path.stem.replace('_', '-')}": path.read_text() for path in files}
    expected["otel-ml-rules-limits"] = limits.read_text()
    expected = {
        title: yaml.safe_load(text.replace('"deploy/runbook.md"', f'"{runbook}"')) for title, text in expected.items()
    }
    assert {title: each["spec"] for title, each in objects.items()} == expected
    assert "{{ $value" in json.dumps(objects["otel-ml-alerts-model"])
    assert runbook in json.dumps(objects["otel-ml-alerts-model"])


def test_every_object_fits() -> None:
    """Each object fits into the annotation of `kubectl apply`, and the release into the Secret that Helm keeps.

    rfmoz/grafana-dashboards#136, VictoriaMetrics/helm-charts#1409.
    """
    objects = charted(*on(*EVERYTHING))
    sizes = {name(each): len(json.dumps(each)) for each in objects}
    archive = gzip.compress(
        json.dumps([objects, *(path.read_text() for path in CHART.rglob("*") if path.is_file())]).encode()
    )

    assert [key for key, size in sizes.items() if size > ANNOTATION_BYTES] == []
    assert len(base64.b64encode(archive)) * 2 < OBJECT_BYTES


def test_a_chart_without_its_links_says_so(tmp_path: Path) -> None:
    """Tools that pack a repository without links give a chart without files: it is refused and says what to do.

    fluxcd/flux2#4088, where such a chart installed nothing and reported success.
    """
    shutil.copytree(CHART, tmp_path / "otel-ml", ignore=shutil.ignore_patterns("files"))
    for setting in ("collector.enabled", "monitoring.rules", "monitoring.dashboards"):
        others = (
            ["--set", "collector.enabled=false,alertmanager.enabled=false"] if setting != "collector.enabled" else []
        )
        done = subprocess.run(
            [built_servers.binary("helm"), "template", str(tmp_path / "otel-ml"), *others, *on(setting)],
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert "helm package" in done.stderr


def test_a_packed_chart_has_all_files(tmp_path: Path) -> None:
    """`helm package` follows the links: the archive gives the same objects as the folder, and has no module or test."""
    subprocess.run(
        [built_servers.binary("helm"), "package", str(CHART), "--destination", str(tmp_path)],
        check=True,
        capture_output=True,
    )
    (archive,) = tmp_path.glob("*.tgz")
    content = subprocess.run(["tar", "-tzf", str(archive)], capture_output=True, text=True, check=True).stdout.split()

    assert charted(*on(*EVERYTHING), chart=archive) == charted(*on(*EVERYTHING))
    assert [path for path in content if path.endswith((".py", "builder.yaml", ".patch", "kustomization.yaml"))] == []
    assert archive.stat().st_size < OBJECT_BYTES // 2
