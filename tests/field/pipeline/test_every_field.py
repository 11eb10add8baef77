"""A credential in any field of OTLP is masked; the fields in which it is not are named here and in collector/README.md.

Sources: open-telemetry/opentelemetry-collector-contrib#37799 (scopes), #36633 (events of spans), #26660 and
aws-observability/aws-otel-python-instrumentation#886 (links of spans).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from pipeline_servers import REQUESTS, collector_environment, eventually, otlp_backend, running_collector

SECRET = "hunter2"
TEXT = f"redis://:{SECRET}@"
# Constants of code, identities, and what the Collector has no access to. Bytes are masked under a secret key only.
VALUES = ("string_value", "bytes_value", "array_value.values.string_value", "kvlist_value.values.value.string_value")
NOT_REDACTED = {
    "traces": {
        *("schema_url", "spans.trace_state", "spans.links.trace_state"),
        *(f"spans.links.attributes.value.{value}" for value in VALUES),
    },
    "logs": {"schema_url"},
    "metrics": {
        *("schema_url", "scope.name", "scope.version", "metrics.name", "metrics.description", "metrics.unit"),
        *(f"metrics.metadata.value.{value}" for value in VALUES),
    },
}
KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def fill_attributes(attributes: Any) -> None:
    """Adds the text as a value of every type, and a secret without any form under a secret key."""
    for key in ("text", "list", "map", "db.password", "number.pin", "bytes.secret"):
        value: AnyValue = attributes.add(key=key).value
        if key == "list":
            value.array_value.values.add().string_value = TEXT + key
        elif key == "map":
            value.kvlist_value.values.add(key="inner").value.string_value = TEXT + key
        elif key == "number.pin":
            value.int_value = 4711
        elif key == "bytes.secret":
            value.bytes_value = SECRET.encode()
        else:
            value.string_value = TEXT + key if key == "text" else SECRET


def fill(message: Message) -> None:
    """Sets every field of a request: texts to a credential, numbers to what a back end takes."""
    for field in message.DESCRIPTOR.fields:
        name, kind = field.name, field.type
        inner = field.message_type.name if field.message_type else ""
        if name == "entity_refs" or field.containing_oneof:
            continue
        if inner == "KeyValue":
            fill_attributes(getattr(message, name))
        elif inner == "AnyValue":
            getattr(message, name).string_value = TEXT + name
        elif inner:
            fill(getattr(message, name).add() if field.is_repeated else getattr(message, name))
        elif kind == FieldDescriptor.TYPE_STRING:
            setattr(message, name, TEXT + name)
        elif name.endswith("time_unix_nano"):
            setattr(message, name, time.time_ns())
        elif kind == FieldDescriptor.TYPE_BYTES:
            setattr(message, name, b"0123456789abcdef"[: 16 if name == "trace_id" else 8])
        elif name == "aggregation_temporality":
            setattr(message, name, 2)


def request(signal: str) -> Message:
    """Returns a request with every field; metrics of every type, exemplars with and without a value."""
    filled: Any = REQUESTS[f"/v1/{signal}"]()
    fill(filled)
    if signal == "metrics":
        metrics = filled.resource_metrics[0].scope_metrics[0].metrics
        for kind in KINDS:
            metric = metrics.add()
            metric.CopyFrom(metrics[0])
            fill(getattr(metric, kind))
            (point,) = getattr(metric, kind).data_points
            if kind in ("gauge", "sum"):
                point.as_int = 1
            if kind != "summary":
                point.exemplars.add().CopyFrom(point.exemplars[0])
                point.exemplars[1].as_double = 1
        del metrics[0]
    assert isinstance(filled, Message)
    return filled


def leaks(message: Message, path: str = "") -> Iterator[str]:
    """Names the fields that hold the secret."""
    for field, value in message.ListFields():
        here = f"{path}.{field.name}"
        for each in value if field.is_repeated else [value]:
            if isinstance(each, Message):
                yield from leaks(each, here)
            elif isinstance(each, str | bytes) and SECRET in (each if isinstance(each, str) else each.decode("latin1")):
                yield here


@pytest.fixture(scope="module")
def arrived(otelcol: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Message]:
    """What arrives of a request of each signal."""
    folder = tmp_path_factory.mktemp("collector")
    with otlp_backend() as backend:
        environment = collector_environment(backend.address, folder, OTELCOL_SELF_INTERVAL_MS="3600000")
        with running_collector(otelcol, environment, folder) as collector:
            for signal in NOT_REDACTED:
                assert collector.send(f"/v1/{signal}", request(signal)) == 200
            eventually(lambda: len(backend.requests) == len(NOT_REDACTED))
            return {path.rsplit("/", 1)[1]: message for path, message in backend.requests}


@pytest.mark.parametrize("signal", NOT_REDACTED)
def test_every_field(arrived: dict[str, Message], signal: str) -> None:
    """No field but those that are named holds the credential at the back end."""
    assert {re.sub(r"^\.|resource_\w+\.|scope_\w+\.", "", path) for path in leaks(arrived[signal])} == NOT_REDACTED[
        signal
    ]


def test_exemplars_keep_no_attributes(arrived: dict[str, Any]) -> None:
    """Attributes that a view left out of a series are gone from every exemplar; its trace and span stay."""
    (resource,) = arrived["metrics"].resource_metrics
    metrics = {metric.WhichOneof("data"): metric for metric in resource.scope_metrics[0].metrics}
    exemplars = [
        exemplar
        for kind in KINDS
        if kind != "summary"
        for exemplar in getattr(metrics[kind], kind).data_points[0].exemplars
    ]
    assert [len(exemplar.filtered_attributes) for exemplar in exemplars] == [0] * 8
    assert {exemplar.trace_id for exemplar in exemplars} == {b"0123456789abcdef"}
