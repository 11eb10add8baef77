"""The deployment files: pinned, on loopback, without a default password, and consistent with what they mount."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import stack
import yaml
from pipeline_servers import ROOT

COMPOSE = ROOT / "deploy" / "compose"
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_every_image_is_pinned_to_a_full_version() -> None:
    """No `latest`, no floating minor version."""
    images = [service["image"] for service in compose()["services"].values()]
    assert [image for image in images if not PINNED.fullmatch(image)] == []


def test_the_collector_image_is_the_version_that_is_tested() -> None:
    """Compose runs the version that collector/builder.yaml builds."""
    version = yaml.safe_load((ROOT / "collector" / "builder.yaml").read_text(encoding="utf-8"))["dist"]["version"]
    assert compose()["services"]["collector"]["image"] == f"otel-ml-collector:{version}"
    files = [ROOT / name for name in ("collector/Containerfile", "deploy/README.md")]
    built = [re.findall(r"docker build -f collector/Containerfile -t (\S+) \.", each.read_text()) for each in files]
    assert built == [[f"otel-ml-collector:{version}"]] * 2
    go = re.findall(r"^FROM \S+/golang:(\S+)-bookworm AS build$", files[0].read_text(), re.MULTILINE)
    assert [re.fullmatch(r"1\.\d+\.\d+", each) is not None for each in go] == [True]


def test_loki_keeps_high_cardinality_out_of_the_index() -> None:
    """Pods and instances are structured metadata, not labels, and logs expire."""
    loki = yaml.safe_load((ROOT / "deploy" / "loki" / "loki.yaml").read_text(encoding="utf-8"))
    resource = loki["limits_config"]["otlp_config"]["resource_attributes"]
    assert resource["ignore_defaults"] is True
    assert {"k8s.pod.name", "service.instance.id"} & set(resource["attributes_config"][0]["attributes"]) == set()
    assert (loki["compactor"]["retention_enabled"], loki["analytics"]["reporting_enabled"]) == (True, False)


def test_loki_takes_what_the_queue_kept() -> None:
    """Lines of a service may be 24 hours behind its newest, and are found before they are written out (grafana/loki#5936, #6043)."""
    loki = yaml.safe_load((ROOT / "deploy" / "loki" / "loki.yaml").read_text(encoding="utf-8"))
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    window = int(prometheus["storage"]["tsdb"]["out_of_order_time_window"].removesuffix("h"))
    assert int(loki["ingester"]["max_chunk_age"].removesuffix("h")) / 2 >= window
    assert loki["querier"]["query_ingesters_within"] == 0


def test_tempo_takes_what_the_queue_kept() -> None:
    """A full queue may be all live traces at once, and a search finds what waited in it (grafana/tempo#4122)."""
    tempo = yaml.safe_load((ROOT / "deploy" / "tempo" / "tempo.yaml").read_text(encoding="utf-8"))
    agent = yaml.safe_load((ROOT / "collector" / "agent.yaml").read_text(encoding="utf-8"))
    queue = agent["exporters"]["otlp_http/traces"]["sending_queue"]["queue_size"]
    (items,) = re.findall(r"OTELCOL_QUEUE_ITEMS:-\}\n---\n(\d+)\}$", queue)
    assert tempo["overrides"]["defaults"]["ingestion"]["max_traces_per_user"] >= int(items)
    assert tempo["storage"]["trace"]["wal"]["ingestion_time_range_slack"] == "24h"


def test_the_parts_of_tempo_find_each_other_without_an_interface() -> None:
    """Each ring has the address at which Tempo listens for itself (grafana/tempo#3590, grafana/mimir#8772)."""
    tempo = yaml.safe_load((ROOT / "deploy" / "tempo" / "tempo.yaml").read_text(encoding="utf-8"))
    rings = {
        tempo[part]["ring"]["instance_addr"]
        for part in ("distributor", "live_store", "metrics_generator", "backend_worker")
    }
    assert rings == {tempo["server"]["grpc_listen_address"]}


def test_prometheus_keeps_what_rules_look_back_to() -> None:
    """No rule has a longer range than Prometheus keeps data."""
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    kept = int(config["storage"]["tsdb"]["retention"]["time"].removesuffix("d"))
    texts = [
        file.read_text(encoding="utf-8")
        for folder in ("rules", "alerts")
        for file in (ROOT / "deploy/prometheus" / folder).glob("*.yaml")
    ]
    days = {int(found) for text in texts for found in re.findall(r"\[(\d+)d(?::\w*)?\]", text)}
    assert max(days) == 30
    assert kept > max(days)


def test_every_collector_has_a_stable_name() -> None:
    """A Collector that starts again is the same instance, with compose and `make stack` (for Kubernetes: deployments/test_manifests_run.py)."""
    assert compose()["services"]["collector"]["environment"]["OTELCOL_INSTANCE_ID"] == "${OTELCOL_INSTANCE_ID:-compose}"
    assert stack.process_environment(stack.choose_ports("0", {}), ROOT, [])["OTELCOL_INSTANCE_ID"] == "stack"


def test_tempo_is_configured_for_version_3() -> None:
    """The file has no `ingester` or `compactor`, which version 3 refuses, and names a receiver, without which Tempo does not listen."""
    tempo = yaml.safe_load((ROOT / "deploy" / "tempo" / "tempo.yaml").read_text(encoding="utf-8"))
    assert {"ingester", "compactor", "ingester_client", "metrics_generator_client"} & set(tempo) == set()
    assert tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    assert tempo["usage_report"]["reporting_enabled"] is False


@pytest.mark.parametrize(
    "script",
    [
        "local/build.py",
        "local/stack.py",
        "local/verify.py",
        "local/webhook.py",
        "local/alert_faults.py",
        "compose/prepare.py",
        "kubernetes/render.py",
    ],
)
def test_every_script_explains_itself(script: str) -> None:
    """`--help` shows usage and an example."""
    command = [sys.executable, str(ROOT / "deploy" / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"python deploy/{script}" in done.stdout


def test_victoria_metrics_promotes_the_same_attributes() -> None:
    """The flags of VictoriaMetrics make labels of the attributes that Prometheus promotes."""
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    page = (ROOT / "deploy" / "victoria-metrics" / "README.md").read_text(encoding="utf-8")
    promoted = re.findall(r"-opentelemetry\.promoteResourceAttributes=(\S+)", page)
    assert [each.split(",") for each in promoted] == [prometheus["otlp"]["promote_resource_attributes"]]
