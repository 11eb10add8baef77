"""The Helm chart's own files: values and schema agree, links resolve, versions are those of the other deployments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from code_blocks import code_blocks
from kubernetes_objects import CHART, PINNED, ROOT, validate

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

NOWHERE = (
    "http://",
    "http:///otlp",
    "http://:4318",
    "http://backend:99999",
    "http://backend:0",
    "http://a b",
    "http://::1:9090",
)


def settings(schema: dict[str, Any], values: dict[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Settings that only the schema or only the values have."""
    known = set(schema["properties"]) - {"global"}
    yield from ((f"{place}{name}", "schema") for name in known - set(values))
    yield from ((f"{place}{name}", "values") for name in set(values) - known)
    for name in known & set(values):
        if schema["properties"][name].get("properties"):
            yield from settings(schema["properties"][name], values[name], f"{place}{name}.")


def test_values_and_schema_have_the_same_settings() -> None:
    """The default values are valid, and no setting is in one of the two files only."""
    jsonschema.validate(VALUES, SCHEMA)
    assert list(settings(SCHEMA, VALUES)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"collector": {"replica": 2}},
        {"collector": {"memoryMiB": "512"}},
        {"collector": {"queueGiB": 0}},
        {"collector": {"image": "otelcol"}},
        {"collector": {"env": {"OTELCOL-X": "1"}}},
        {"collector": {"filesSecret": "my files"}},
        {"gateway": {"storageClass": "fast disk"}},
        *({"backends": {signal: "prometheus:9090"}} for signal in ("metrics", "logs", "traces")),
        *({"backends": {"metrics": address}} for address in NOWHERE),
        {"nodes": {"endpoint": "http://"}},
        {"teams": {"payments": {"receiver": "x"}}},
        {"teams": {"payments": {"page": {"slack": []}}}},
        {"alertmanager": {"from": []}},
        {"monitoring": {"rules": "true"}},
        {"monitoring": {"limits": "junk"}},
        {"monitoring": {"objectives": "limits: {errors: 0.1}\n"}},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any]) -> None:
    """Unknown names, wrong types, numbers and addresses out of range end the installation with their place."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


@pytest.mark.parametrize(
    "right",
    [
        *(
            {"backends": {"metrics": address}}
            for address in (
                "http://prometheus",
                "https://[::1]:65535/otlp?x=1",
                "http://10.0.0.1:80/",
                "http://u:p@host:9090",
            )
        ),
        {"nodes": {"endpoint": ""}},
        {"collector": {"storageClass": "", "filesSecret": "certificates.v2"}},
        {"monitoring": {"limits": "# mine\ngroups: []\n", "objectives": "groups:\n- name: x\n"}},
    ],
    ids=str,
)
def test_a_right_value_is_taken(right: dict[str, Any]) -> None:
    """Addresses in each form, empty texts where they mean the default, and files of rules pass the schema."""
    jsonschema.validate(right, SCHEMA)


def test_links_stay_in_the_repository() -> None:
    """The folders of the chart are links to those of the other deployments, none of which leaves the repository.

    argoproj/argo-cd#8379, DefectDojo/django-DefectDojo#11893: Argo CD refuses a repository with links that leave it.
    """
    links = {link.name: link.resolve().relative_to(ROOT) for link in (CHART / "files").iterdir()}
    assert links == {
        "collector": Path("collector"),
        "alertmanager": Path("deploy/alertmanager"),
        "rules": Path("deploy/prometheus/rules"),
        "alerts": Path("deploy/prometheus/alerts"),
        "dashboards": Path("deploy/grafana/dashboards"),
    }


def test_the_chart_has_the_versions_of_the_project() -> None:
    """Chart, images and Collector have the versions of pyproject.toml, compose and the build."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    version = metadata.version("otel-ml")
    collector = yaml.safe_load((ROOT / "collector" / "builder.yaml").read_text(encoding="utf-8"))["dist"]["version"]
    compose = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]

    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert VALUES["nodes"]["image"] == f"otel-ml-sampler:{version}"
    assert VALUES["collector"]["image"].rsplit(":", 1)[1] == collector
    assert VALUES["collector"]["image"] == compose["collector"]["image"]
    assert VALUES["alertmanager"]["image"] == compose["alertmanager"]["image"]
    assert PINNED.fullmatch(VALUES["collector"]["image"])


def test_the_operators_prometheus_has_the_settings_of_ours() -> None:
    """The object in the chart's README is valid, and has what prometheus.yml and its flags say."""
    (text,) = (each for each in code_blocks("deploy/helm/otel-ml/README.md", "yaml") if "kind: Prometheus" in each)
    operators = yaml.safe_load(text)
    validate(operators)
    spec = operators["spec"]
    ours = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    compose = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    (features,) = (each for each in compose["prometheus"]["command"] if each.startswith("--enable-feature="))

    assert spec["otlp"] == {
        "translationStrategy": ours["otlp"]["translation_strategy"],
        "keepIdentifyingResourceAttributes": ours["otlp"]["keep_identifying_resource_attributes"],
        "promoteResourceAttributes": ours["otlp"]["promote_resource_attributes"],
    }
    assert spec["enableFeatures"] == features.partition("=")[2].split(",")
    assert spec["enableOTLPReceiver"] is True
    assert spec["tsdb"]["outOfOrderTimeWindow"] == ours["storage"]["tsdb"]["out_of_order_time_window"]
    assert spec["retention"] == ours["storage"]["tsdb"]["retention"]["time"]
    assert spec["exemplars"]["maxSize"] == ours["storage"]["exemplars"]["max_exemplars"]
    assert spec["evaluationInterval"] == ours["global"]["evaluation_interval"]


def test_the_values_in_the_readme_are_valid() -> None:
    """What a reader copies passes the schema."""
    (text,) = (each for each in code_blocks("deploy/helm/otel-ml/README.md", "yaml") if "backends:" in each)
    jsonschema.validate(yaml.safe_load(text), SCHEMA)
