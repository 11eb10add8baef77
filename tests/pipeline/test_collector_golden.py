"""Known telemetry through the real Collector, compared as a whole with golden files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pipeline_servers import (
    GOLDEN,
    Backend,
    Collector,
    collector_environment,
    eventually,
    running_collector,
)

# The times in the files lie within ten seconds. What is too old would be refused, so it is sent as now, and read back as written.
WRITTEN = "176722560"
NOW = str(int(time.time()))[:9]

# The service's telemetry is the same in every run; the Collector's own telemetry is left out by name.
IGNORED_SERVICES = {"otelcol"}
BACKENDS = {
    "traces": ("/tempo/v1/traces",),
    "logs": ("/loki/v1/logs",),
    "metrics": ("/prometheus/v1/metrics",),
}


def golden(signal: str) -> bytes:
    """Returns a golden request with the time of now."""
    return (GOLDEN / f"{signal}.json").read_text(encoding="utf-8").replace(WRITTEN, NOW).encode()


def service_name(resource: dict[str, Any]) -> str:
    attributes = resource["resource"]["attributes"]
    return next(each["value"]["stringValue"] for each in attributes if each["key"] == "service.name")


def ordered(value: Any) -> Any:
    """Returns the same with the keys of each map in order: a map that the Collector parses from JSON has none."""
    if isinstance(value, dict):
        return {key: ordered(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    found = [ordered(each) for each in value]
    is_map = all(isinstance(each, dict) and "key" in each for each in found)
    return sorted(found, key=lambda each: str(each["key"])) if is_map else found


def resources(messages: list[Message]) -> list[dict[str, Any]]:
    """Returns the resources of all requests as plain data in a stable order, without the ignored ones."""
    found = []
    for message in messages:
        for each in next(iter(json.loads(json.dumps(MessageToDict(message)).replace(NOW, WRITTEN)).values()), []):
            if service_name(each) not in IGNORED_SERVICES and "otelml.collector.refused" not in json.dumps(each):
                found.append(ordered(each))
    return sorted(found, key=lambda each: json.dumps(each, sort_keys=True))


@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_golden_telemetry_matches_the_file(
    signal: str, collector: Collector, backend: Backend, request: pytest.FixtureRequest
) -> None:
    """Telemetry is enriched, filtered and redacted by key in attributes and bodies, and otherwise unchanged."""
    status = collector.send_json(f"/v1/{signal}", golden(signal))

    actual = eventually(lambda: resources(backend.received(f"/v1/{signal}")))
    expected = GOLDEN / f"{signal}.expected.json"
    if request.config.getoption("--update-golden"):
        expected.write_text(json.dumps(actual, indent=1) + "\n", encoding="utf-8")
    assert status == 200
    assert actual == ordered(json.loads(expected.read_text(encoding="utf-8")))
    assert {path for path, _ in backend.requests if path.endswith(signal)} == set(BACKENDS[signal])


def test_no_canary_arrives(collector: Collector, backend: Backend) -> None:
    """No secret of the golden telemetry reaches a back end, wherever it is placed."""
    for signal in ("traces", "logs", "metrics"):
        collector.send_json(f"/v1/{signal}", golden(signal))
    eventually(lambda: {path.rsplit("/", 1)[1] for path, _ in backend.requests} == {"traces", "logs", "metrics"})
    collector.stop()
    sent = b"".join(golden(signal) for signal in ("traces", "logs", "metrics"))
    arrived = b"".join(message.SerializeToString() for _, message in backend.requests)
    assert b"canary" in sent
    assert b"canary" not in arrived


def test_own_redaction_keys(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """OTELCOL_REDACT_KEYS adds keys, in upper or lower case, to the ones that are always redacted."""
    environment = collector_environment(backend.address, tmp_path, OTELCOL_REDACT_KEYS="AGE|city")
    with running_collector(otelcol, environment, tmp_path) as running:
        running.send_json("/v1/logs", golden("logs"))
        eventually(lambda: backend.received("/v1/logs"))
    record = MessageToDict(backend.received("/v1/logs")[0])["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert json.loads(record["body"]["stringValue"]) == {
        "features": {"age": "****", "income": 1.0, "account": 12345678901234567890},
        "prediction": 1,
        "score": 0.42,
    }
