"""Two tiers of real Collectors: agents that send traces to several gateways, which sample them.

Sources: open-telemetry/opentelemetry-collector-contrib#26703 and #27014 (spans of one trace from two agents reach two
gateways), #16826 (the queue on disk of load_balancing sends to the first gateway only).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import built_servers
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from pipeline_servers import (
    ROOT,
    Backend,
    Collector,
    collector_environment,
    eventually,
    otlp_backend,
    running_collector,
)

TRACES = 100
TOKEN = "a-token-of-the-gateways"
AGENT = ("agent.yaml", "to_gateway.yaml")
GATEWAY = ("agent.yaml", "remote.yaml", "gateway.yaml")


@pytest.fixture(scope="module")
def binary() -> Path:
    """The Collector with `load_balancing`."""
    return built_servers.binary("collector-gateway")


@dataclass(frozen=True)
class Tiers:
    """Two agents, and what they and each of two gateways have delivered."""

    agents: list[Collector]
    direct: Backend
    gateways: list[Backend]


@contextmanager
def two_tiers(binary: Path, folder: Path, **gateway: str) -> Iterator[Tiers]:
    """Runs two gateways, on IPv4 and IPv6, that require a token, and two agents that list them in different orders."""
    tokens = folder / "tokens"
    tokens.write_text(f"{TOKEN}\n", encoding="utf-8")
    with ExitStack() as alive:
        backends = [alive.enter_context(otlp_backend()) for _ in range(3)]
        names = []
        for number, (host, backend) in enumerate(zip(("127.0.0.1", "::1"), backends[1:], strict=True)):
            own = folder / f"gateway-{number}"
            own.mkdir()
            more = {"OTELCOL_BIND": host, "OTELCOL_TOKENS_FILE": str(tokens), **gateway}
            environment = collector_environment(backend.address, own, **more)
            alive.enter_context(running_collector(binary, environment, own, GATEWAY))
            names.append(f"{'[::1]' if number else host}:{environment['OTELCOL_GRPC_PORT']}")
        agents = []
        for number, order in enumerate((names, names[::-1])):
            own = folder / f"agent-{number}"
            own.mkdir()
            more = {"OTELCOL_GATEWAYS": ",".join(order), "OTELCOL_GATEWAY_TOKEN_FILE": str(tokens)}
            more["CONSOLE_OTLP_ENDPOINT"] = f"{backends[0].address}/console"
            environment = collector_environment(backends[0].address, own, **more)
            del environment["TEMPO_OTLP_ENDPOINT"]
            agents.append(alive.enter_context(running_collector(binary, environment, own, (*AGENT, "console.yaml"))))
        yield Tiers(agents, backends[0], backends[1:])


def spans(name: str, failed: range) -> ExportTraceServiceRequest:
    """Returns one span of each trace."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(TRACES):
        trace = number.to_bytes(2, "big") + b"\1" * 14
        span = scope.spans.add(trace_id=trace, span_id=name[:1].encode() * 8, name=f"{name} {number}")
        span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
        span.status.code = Status.STATUS_CODE_ERROR if number in failed else Status.STATUS_CODE_UNSET
    return request


def delivered(backend: Backend) -> set[str]:
    """Returns the names of the spans."""
    return {
        span.name
        for request in backend.received("/v1/traces")
        for resource in request.resource_spans  # type: ignore[attr-defined]
        for scope in resource.scope_spans
        for span in scope.spans
    }


def test_a_trace_over_two_agents_is_judged_by_one_gateway(binary: Path, tmp_path: Path) -> None:
    """An error that one agent sends keeps the span of the same trace that the other agent sends; other places get events only."""
    failed = range(0, TRACES, 2)
    with two_tiers(binary, tmp_path, OTELCOL_DECISION_WAIT="2s", OTELCOL_BASELINE_PERCENT="0") as tiers:
        assert tiers.agents[0].send("/v1/traces", spans("caller", range(0))) == 200
        assert tiers.agents[1].send("/v1/traces", spans("model", failed)) == 200
        logs = ExportLogsServiceRequest()
        logs.resource_logs.add().scope_logs.add().log_records.add(body={"string_value": "event"})
        assert tiers.agents[0].send("/v1/logs", logs) == 200
        eventually(lambda: sum(len(delivered(each)) for each in tiers.gateways) >= 2 * len(failed))
        eventually(lambda: len(tiers.direct.received("/v1/logs")) == 2)
    first, second = (delivered(each) for each in tiers.gateways)
    assert first | second == {f"{name} {number}" for name in ("caller", "model") for number in failed}
    traces = [{name.split(" ")[1] for name in each} for each in (first, second)]
    assert not traces[0] & traces[1]
    assert min(map(len, traces)) > 0
    assert not any(each.received("/v1/logs") for each in tiers.gateways)
    assert not tiers.direct.received("/v1/traces")
    assert {path for path, _ in tiers.direct.requests if path.endswith("logs")} == {"/loki/v1/logs", "/console/v1/logs"}


def start(binary: Path, folder: Path, command: str, **variables: str) -> tuple[int, str]:
    """Runs an agent with one variable set; returns its status and what it said."""
    environment = collector_environment("http://127.0.0.1:1", folder, OTELCOL_GATEWAYS="gateway") | variables
    configs = [part for name in AGENT for part in ("--config", str(ROOT / "collector" / name))]
    done = subprocess.run(
        [str(binary), command, *configs], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("value", ["", "  ", "a:1,", ",a:1", "a:1,,b:1", "a:1,a:1", "a:1, b:1"])
def test_wrong_gateways_end_the_start(value: str, binary: Path, tmp_path: Path) -> None:
    """No gateway, a comma too many, one name twice or a blank ends the start, and the message names the variable."""
    status, said = start(binary, tmp_path, "validate", OTELCOL_GATEWAYS=value)
    assert (status, "OTELCOL_GATEWAYS" in said) == (1, True)


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("gateway-0.otelcol:4317,gateway-1.otelcol:4317", ["gateway-0.otelcol:4317", "gateway-1.otelcol:4317"]),
        ("[fd00::1]:4317,[fd00::2]:4317", ["[fd00::1]:4317", "[fd00::2]:4317"]),
        ("0123", ["0123"]),
    ],
)
def test_right_gateways_are_read(value: str, hosts: list[str], binary: Path, tmp_path: Path) -> None:
    """Names and addresses, IPv6 too, are read as they are."""
    status, said = start(binary, tmp_path, "print-config", OTELCOL_GATEWAYS=value)
    assert status == 0, said
    assert yaml.safe_load(said)["exporters"]["load_balancing/traces"]["resolver"]["static"]["hostnames"] == hosts


def test_the_queue_has_the_chosen_size(binary: Path, tmp_path: Path) -> None:
    """The variable for the size of all queues is also that of the traces for the gateways."""
    status, said = start(binary, tmp_path, "print-config", OTELCOL_QUEUE_ITEMS="5000000")
    assert status == 0, said
    assert yaml.safe_load(said)["exporters"]["load_balancing/traces"]["sending_queue"]["queue_size"] == 5_000_000


def test_a_missing_token_file_ends_the_start(binary: Path, tmp_path: Path) -> None:
    """With a token file that does not exist the Collector does not start, and says which."""
    status, said = start(binary, tmp_path, "validate", OTELCOL_GATEWAY_TOKEN_FILE="/nowhere/token")
    assert (status, "/nowhere/token" in said) == (1, True)
