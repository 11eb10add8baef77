"""Kubernetes objects as a cluster would get them, and what has to hold for every set of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import built_servers
import jsonschema
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = ROOT / "deploy" / "helm" / "otel-ml"
CRDS = ROOT / "tests" / "data" / "crds"
VERSION = "1.33"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
ANNOTATION_BYTES = 262_144
"""What an object's annotations may have, and so its size for `kubectl apply` without --server-side."""
OBJECT_BYTES = 1_048_576
"""What a ConfigMap or a Secret may hold."""
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-bookworm)?")
SECRETS = {
    "otlp-tokens": {"tokens", "headers", "gateway"},
    "alertmanager-receivers": None,
    "employment-store": {"password"},
}
"""Secrets that deploy/README.md tells a reader to make, and their keys; None if the reader chooses them."""

Object = dict[str, Any]


def kustomized(folder: str) -> list[Object]:
    """The objects of a kustomization, built as `kubectl apply -k` does."""
    return _loaded([str(built_servers.binary("kustomize")), "build", str(KUBERNETES / folder)])


def charted(*arguments: str, chart: Path = CHART, namespace: str = "otel-ml") -> list[Object]:
    """The objects of the chart."""
    return _loaded([str(built_servers.binary("helm")), "template", "otel-ml", str(chart), "-n", namespace, *arguments])


def _loaded(command: Sequence[str]) -> list[Object]:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]


def validate(document: Object) -> None:
    """Raises if the API server would refuse the object, or drop a field of it."""
    file = CRDS / f"{document['kind']}.json"
    if file.exists():
        jsonschema.validate(document, strict(json.loads(file.read_text())))
    else:
        kubernetes_validate.validate(document, VERSION, strict=True)


def strict(schema: Any) -> Any:
    """The schema of a custom resource, without unknown fields: the API server drops them without a word."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(each) for key, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and schema["properties"]:
        is_root = "apiVersion" in schema["properties"]
        schema.setdefault("additionalProperties", False)
        if is_root:
            schema["properties"]["metadata"] = {"type": "object"}
    return schema


def name(document: Object) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def workloads(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Each workload with the spec of its pods."""
    for each in objects:
        if each["kind"] in WORKLOADS:
            yield each, each["spec"]["template"]["spec"]


def containers(spec: Object) -> list[Object]:
    """The containers of a pod, sidecars first."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: dict[str, str], objects: Sequence[Object], namespace: str) -> list[Object]:
    """The workloads of a namespace whose pods have these labels."""
    return [
        each
        for each, _ in workloads(objects)
        if each["metadata"].get("namespace", "") == namespace
        and selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]


def unresolved(objects: Sequence[Object]) -> list[str]:
    """What the objects refer to and nobody makes: volumes, keys, accounts, ports, selectors, addresses."""
    return [*_of_pods(objects), *_of_selectors(objects), *_of_addresses(objects)]


def _of_pods(objects: Sequence[Object]) -> Iterator[str]:
    names = {name(each): each for each in objects}
    for workload, spec in workloads(objects):
        kind, namespace, title = name(workload)
        if ("ServiceAccount", namespace, spec["serviceAccountName"]) not in names:
            yield f"{title}: service account {spec['serviceAccountName']}"
        if kind == "StatefulSet" and ("Service", namespace, workload["spec"]["serviceName"]) not in names:
            yield f"{title}: service {workload['spec']['serviceName']}"
        volumes = {each["name"]: each for each in spec.get("volumes", [])}
        claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            yield from _of_volume(title, volume, namespace, names)
        for container in containers(spec):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes and mount["name"] not in claims:
                    yield f"{title}: volume {mount['name']}"
            yield from _of_environment(title, container, namespace, names)
            yield from _of_probes(title, container)


def _of_volume(title: str, volume: Object, namespace: str, names: dict[Any, Object]) -> Iterator[str]:
    if "configMap" in volume and ("ConfigMap", namespace, volume["configMap"]["name"]) not in names:
        yield f"{title}: config map {volume['configMap']['name']}"
    if "secret" in volume:
        keys = {item["key"] for item in volume["secret"].get("items", [])}
        yield from _of_secret(title, volume["secret"]["secretName"], keys)


def _of_environment(title: str, container: Object, namespace: str, names: dict[Any, Object]) -> Iterator[str]:
    for source in container.get("envFrom", []):
        if ("ConfigMap", namespace, source["configMapRef"]["name"]) not in names:
            yield f"{title}: config map {source['configMapRef']['name']}"
    known: set[str] = set()
    for variable in container.get("env", []):
        secret = variable.get("valueFrom", {}).get("secretKeyRef")
        if secret:
            yield from _of_secret(title, secret["name"], {secret["key"]})
        missing = set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) - known
        if missing:
            yield f"{title}: {variable['name']} uses {sorted(missing)}, which are not set before it"
        known.add(variable["name"])


def _of_secret(title: str, secret: str, keys: set[str]) -> Iterator[str]:
    known = SECRETS.get(secret, set())
    if known is not None and not keys <= known:
        yield f"{title}: secret {secret} with {sorted(keys)}"


def _of_probes(title: str, container: Object) -> Iterator[str]:
    ports = {each["name"] for each in container.get("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        if port is not None and port not in ports:
            yield f"{title}: {probe} on port {port}"


def _of_selectors(objects: Sequence[Object]) -> Iterator[str]:
    for each in objects:
        kind, namespace, title = name(each)
        if kind == "Service":
            selected = selects(each["spec"]["selector"], objects, namespace)
            wanted = {port["targetPort"] for port in each["spec"]["ports"]}
        elif kind in ("NetworkPolicy", "PodDisruptionBudget"):
            chosen = each["spec"].get("podSelector") or each["spec"]["selector"]
            selected = selects(chosen["matchLabels"], objects, namespace)
            wanted = {port["port"] for rule in each["spec"].get("ingress", []) for port in rule["ports"]}
        else:
            continue
        if len(selected) != 1:
            yield f"{kind} {title} selects {[name(other) for other in selected]}"
        for workload in selected:
            spec = workload["spec"]["template"]["spec"]
            offered = {port["name"] for container in containers(spec) for port in container.get("ports", [])}
            if not wanted <= offered:
                yield f"{kind} {title}: ports {sorted(wanted - offered)}"


def _of_addresses(objects: Sequence[Object]) -> Iterator[str]:
    """Addresses of Services in our namespaces, in variables and ConfigMaps of variables."""
    services = {name(each)[1:]: each for each in objects if each["kind"] == "Service"}
    namespaces = {each["metadata"].get("namespace") for each in objects}
    for each in objects:
        if each["kind"] not in (*WORKLOADS, "ConfigMap"):
            continue
        for service, namespace, port in re.findall(r"([\w-]+)\.([\w-]+)\.svc:(\d+)", json.dumps(each)):
            ports = {
                item["port"] for item in services.get((namespace, service), {"spec": {"ports": []}})["spec"]["ports"]
            }
            if namespace in namespaces and namespace.startswith("otel-ml") and int(port) not in ports:
                yield f"{name(each)}: {service}.{namespace}:{port}"
