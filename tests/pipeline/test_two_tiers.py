"""Two tiers of real Collectors: agents that send traces to several gateways, which sample them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import build
import pytest
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
    return build.build("collector-gateway")


@dataclass(frozen=True)
class Tiers:
    """Two agents, and what they and each of two gateways have delivered."""

    agents: list[Collector]
    direct: Backend
    gateways: list[Backend]


@contextmanager
def two_tiers(binary: Path, folder: Path, **gateway: str) -> Iterator[Tiers]:
    """Runs two gateways that require a token, and two agents that list them in different orders."""
    tokens = folder / "tokens"
    tokens.write_text(f"{TOKEN}\n", encoding="utf-8")
    with ExitStack() as alive:
        backends = [alive.enter_context(otlp_backend()) for _ in range(3)]
        names = []
        for number, backend in enumerate(backends[1:]):
            own = folder / f"gateway-{number}"
            own.mkdir()
            more = {"OTELCOL_BIND": "127.0.0.1", "OTELCOL_TOKENS_FILE": str(tokens), **gateway}
            environment = collector_environment(backend.address, own, **more)
            alive.enter_context(running_collector(binary, environment, own, GATEWAY))
            names.append(f"127.0.0.1:{environment['OTELCOL_GRPC_PORT']}")
        agents = []
        for number, order in enumerate((names, names[::-1])):
            own = folder / f"agent-{number}"
            own.mkdir()
            more = {"OTELCOL_GATEWAYS": ",".join(order), "OTELCOL_GATEWAY_TOKEN_FILE": str(tokens)}
            environment = collector_environment(backends[0].address, own, **more)
            del environment["TEMPO_OTLP_ENDPOINT"]
            agents.append(alive.enter_context(running_collector(binary, environment, own, AGENT)))
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
    """An error that one agent sends keeps the span of the same trace that the other agent sends; events stay away from gateways."""
    failed = range(0, TRACES, 2)
    with two_tiers(binary, tmp_path, OTELCOL_DECISION_WAIT="2s", OTELCOL_BASELINE_PERCENT="0") as tiers:
        assert tiers.agents[0].send("/v1/traces", spans("caller", range(0))) == 200
        assert tiers.agents[1].send("/v1/traces", spans("model", failed)) == 200
        logs = ExportLogsServiceRequest()
        logs.resource_logs.add().scope_logs.add().log_records.add(body={"string_value": "event"})
        assert tiers.agents[0].send("/v1/logs", logs) == 200
        eventually(lambda: sum(len(delivered(each)) for each in tiers.gateways) >= 2 * len(failed))
        eventually(lambda: tiers.direct.received("/v1/logs"))
    first, second = (delivered(each) for each in tiers.gateways)
    assert first | second == {f"{name} {number}" for name in ("caller", "model") for number in failed}
    traces = [{name.split(" ")[1] for name in each} for each in (first, second)]
    assert not traces[0] & traces[1]
    assert min(map(len, traces)) > 0
    assert not any(each.received("/v1/logs") for each in tiers.gateways)
    assert not tiers.direct.received("/v1/traces")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTELCOL_GATEWAYS", "", "OTELCOL_GATEWAYS"),
        ("OTELCOL_GATEWAYS", "  ", "OTELCOL_GATEWAYS"),
        ("OTELCOL_GATEWAY_TOKEN_FILE", "/nowhere/token", "/nowhere/token"),
    ],
)
def test_a_wrong_value_ends_the_start(variable: str, value: str, said: str, binary: Path, tmp_path: Path) -> None:
    """Without gateways, or with a token file that does not exist, the Collector does not start and says which."""
    environment = collector_environment("http://127.0.0.1:1", tmp_path, OTELCOL_GATEWAYS="gateway") | {variable: value}
    configs = [part for name in AGENT for part in ("--config", str(ROOT / "collector" / name))]
    done = subprocess.run(
        [str(binary), *configs], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
