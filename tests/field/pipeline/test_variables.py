"""Every variable of the Collector's files: a default, or a refusal to start that names the variable.

Sources: open-telemetry/opentelemetry-collector#11531 and #11776 (a default is for unset variables, not for empty ones);
open-telemetry/opentelemetry-helm-charts#816 and open-telemetry/opentelemetry-collector-contrib#46082 (an IPv6 address glued to a port);
timescale/tobs#379 and grafana/docker-otel-lgtm#73 (an address without a scheme, to which nothing is ever sent);
open-telemetry/opentelemetry-collector#8565 and #14034 (a name of digits becomes another number);
open-telemetry/opentelemetry-collector-contrib#48704 (a token file that is missing at the start).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_servers import ROOT, Backend, collector_environment, eventually, otlp_backend, running_collector

COLLECTOR = ROOT / "collector"
FILES = ["agent.yaml", "remote.yaml", "console.yaml", "gateway.yaml", "host_metrics_transform.yaml", "hosted.yaml"]
FILES += ["authorization.yaml"]
NOWHERE = ["http:///otlp", "http://:4318", "http://backend:99999/otlp", "https://backend:0"]
ADDRESS = ["", "  ", "backend", "localhost:4318", "backend:9201/write", "http://::1:4318", *NOWHERE]
PORT = ["", "  ", "4317.5", "-1", "70000"]
REDACT_KEYS = ["", "  ", "|birth", "birth||salary", "birth|salary|", "(birth|)", "birth(", 'a"b']
PERCENT = ["5%", "-1", "101", "-0.5", "010", "0x10"]
DURATION = ["", "  ", "soon", "0s", "30"]

# file, variable, values that are like unset, other values that are taken, values that are refused
TABLE: list[tuple[str, str, list[str], list[str], list[str]]] = [
    (
        "agent.yaml",
        "PROMETHEUS_OTLP_ENDPOINT",
        [],
        ["https://[::1]:9090/api/v1/otlp", "http://prometheus:65535"],
        ADDRESS,
    ),
    ("agent.yaml", "LOKI_OTLP_ENDPOINT", [], ["http://loki:3100/otlp"], [*ADDRESS[:2], NOWHERE[2]]),
    ("agent.yaml", "TEMPO_OTLP_ENDPOINT", [], ["http://tempo:4318"], [*ADDRESS[:2], NOWHERE[2]]),
    ("agent.yaml", "OTELCOL_GRPC_PORT", [], ["14317"], PORT),
    ("agent.yaml", "OTELCOL_HTTP_PORT", [], ["14318"], PORT[:2]),
    ("agent.yaml", "OTELCOL_HEALTH_PORT", [], ["0"], PORT[:2]),
    ("agent.yaml", "OTELCOL_HEALTH_HOST", [], ["::1", "0.0.0.0", "localhost"], ["", "  ", "[::1]"]),
    ("agent.yaml", "OTELCOL_QUEUE_DIR", [], ["queue"], ["", "  "]),
    ("agent.yaml", "OTELCOL_QUEUE_BYTES", ["", "  "], ["5000000000"], ["1GiB", "0", "-1", "50000000", "01234567777"]),
    ("agent.yaml", "OTELCOL_QUEUE_ITEMS", ["", "  "], ["5000000"], ["5M", "5e6", "0", "-1", "19999", "0500000"]),
    ("agent.yaml", "OTELCOL_MEMORY_MIB", ["", "  "], ["100"], ["512MiB", "0", "-1", "63", "0512"]),
    ("agent.yaml", "OTELCOL_MEMORY_SPIKE_MIB", ["", "  "], ["50"], ["20%", "0", "-1", "600", "512", "050"]),
    ("agent.yaml", "OTELCOL_SELF_INTERVAL_MS", ["", "  "], ["1000"], ["15s", "0", "-1", "015000"]),
    ("agent.yaml", "OTELCOL_LOG_LEVEL", [], ["debug", "", "warn", "error"], ["  ", "verbose"]),
    ("agent.yaml", "OTELCOL_INSTANCE_ID", [], ["eu-1", "2026-11-30", "0123"], ["", "  "]),
    ("agent.yaml", "HOSTNAME", [], ["pod-0"], []),
    ("agent.yaml", "OTELCOL_ENVIRONMENT", [], ["", "  ", "prod"], ['a"b']),
    ("agent.yaml", "OTELCOL_CLUSTER", [], ["", "  ", "eu"], ['a"b']),
    ("agent.yaml", "OTELCOL_REDACT_KEYS", [], ["birth", "birth|pay.slip|x-tag_1"], REDACT_KEYS),
    ("agent.yaml", "OTELCOL_PROBE_PATHS", [], ["", "  ", "^/up"], ["up(", 'a"b']),
    ("agent.yaml", "OTELCOL_HASH_KEY", [], ["", "  ", "7", "a key"], []),
    ("remote.yaml", "OTELCOL_BIND", [], ["::", "::1", "0.0.0.0", "collector"], ["", "  ", "[::1]"]),
    ("remote.yaml", "OTELCOL_TOKENS_FILE", [], ["tokens"], [""]),
    ("console.yaml", "CONSOLE_OTLP_ENDPOINT", [], ["http://[::1]:14318"], [*ADDRESS[:2], NOWHERE[2]]),
    ("console.yaml", "OTEL_ML_CONSOLE_TOKEN", [], ["a-token-of-32-letters-and-digits", ""], []),
    ("gateway.yaml", "OTELCOL_DECISION_WAIT", [], ["30s"], DURATION),
    ("gateway.yaml", "OTELCOL_SLOW_MS", ["", "  "], ["250"], ["slow", "0", "-1", "0500"]),
    ("gateway.yaml", "OTELCOL_LOW_SCORE", [], ["-1", "0.25"], ["", "  ", "low"]),
    ("gateway.yaml", "OTELCOL_BASELINE_PERCENT", ["", "  "], ["0", "0.5", "100"], PERCENT),
    ("host_metrics_transform.yaml", "OTELCOL_HOST_INTERVAL", [], ["30s"], DURATION),
    ("host_metrics_transform.yaml", "OTELCOL_HOST_ROOT", ["", ""], ["/"], ["  ", "nowhere"]),
    ("host_metrics_transform.yaml", "OTELCOL_HOST_NAME", [], ["", "  ", "node-7"], ['a"b']),
    ("host_metrics_transform.yaml", "OTELCOL_HOST_SERVICE", [], ["", "  ", "nodes"], ['a"b']),
    ("host_metrics_transform.yaml", "OTELCOL_HOST_PROCESS", [], ["", "  ", "python"], []),
    ("host_metrics_transform.yaml", "OTELCOL_HOST_PAGE_BYTES", [], ["65536"], ["", "  ", "4K", "0"]),
    ("hosted.yaml", "OTELCOL_TENANT", [], ["payments", "0123", ""], []),
    ("hosted.yaml", "PROMETHEUS_TENANT", [], ["a|b", "1e3"], ["", "  "]),
    ("hosted.yaml", "LOKI_TENANT", [], ["true"], ["", "  "]),
    ("hosted.yaml", "TEMPO_TENANT", [], ["payments"], ["", "  "]),
    ("hosted.yaml", "OTELCOL_CA_FILE", [], ["ca.crt", ""], []),
    ("hosted.yaml", "OTELCOL_CLIENT_CERT_FILE", [], ["client.crt", ""], []),
    ("hosted.yaml", "OTELCOL_CLIENT_KEY_FILE", [], ["client.key", ""], []),
    ("hosted.yaml", "OTELCOL_SELF_PORT", [], ["14316"], PORT),
    ("authorization.yaml", "OTELCOL_AUTHORIZATION_FILE", [], ["token"], [""]),
    ("authorization.yaml", "PROMETHEUS_AUTHORIZATION_FILE", [], ["token"], [""]),
    ("authorization.yaml", "LOKI_AUTHORIZATION_FILE", [], ["token"], [""]),
    ("authorization.yaml", "TEMPO_AUTHORIZATION_FILE", [], ["token"], [""]),
    ("authorization.yaml", "OTELCOL_AUTHORIZATION_SCHEME", [], ["Basic", "ApiKey"], []),
    ("authorization.yaml", "OTELCOL_AUTHORIZATION_HEADER", [], ["api-key", "X-Key"], ["", "  "]),
]


def read(otelcol: Path, folder: Path, **variables: str) -> tuple[int, str]:
    """Returns the exit status and the configuration that the Collector would run, or its message."""
    environment = {"OTELCOL_QUEUE_DIR": str(folder), "OTELCOL_BIND": "127.0.0.1", "OTELCOL_TOKENS_FILE": "tokens"}
    environment["OTELCOL_AUTHORIZATION_FILE"] = "token"
    for name in ("PROMETHEUS", "LOKI", "TEMPO"):
        environment[f"{name}_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    configs = [part for name in FILES for part in ("--config", str(COLLECTOR / name))]
    done = subprocess.run(
        [str(otelcol), "print-config", *configs],
        env=environment | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_variable_is_in_the_table() -> None:
    """Each variable of each file is tried below, under the file in which it first appears."""
    found: dict[str, str] = {}
    for name in FILES:
        for variable in re.findall(r"\$\{env:(\w+)", (COLLECTOR / name).read_text(encoding="utf-8")):
            found.setdefault(variable, name)
    assert {variable: name for name, variable, *_ in TABLE} == found


def test_the_page_names_what_may_be_empty() -> None:
    """The Collector's page lists each variable for which empty is the same as unset."""
    text = (COLLECTOR / "README.md").read_text(encoding="utf-8")
    sentence = text[text.index("Empty is the same as unset for") :].split(". ")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) == {row[1] for row in TABLE if "" in row[2] + row[3]}


def test_empty_and_blank_numbers_have_their_defaults(otelcol: Path, tmp_path: Path) -> None:
    """A number that is empty or blank is like an unset one."""
    default = read(otelcol, tmp_path)
    assert default[0] == 0, default[1]
    for index in range(2):
        assert read(otelcol, tmp_path, **{row[1]: row[2][index] for row in TABLE if row[2]}) == default


def test_right_values_are_taken(otelcol: Path, tmp_path: Path) -> None:
    """The Collector starts with other values than the defaults, whichever their form."""
    for index in range(max(len(row[3]) for row in TABLE)):
        answer = read(otelcol, tmp_path, **{row[1]: row[3][index % len(row[3])] for row in TABLE})
        assert answer[0] == 0, answer[1]


@pytest.mark.parametrize(
    ("variable", "refused"), [(row[1], row[4]) for row in TABLE if row[4]], ids=[row[1] for row in TABLE if row[4]]
)
def test_a_wrong_value_is_refused_by_name(variable: str, refused: list[str], otelcol: Path, tmp_path: Path) -> None:
    """An empty text, a value of the wrong type or out of range ends the start, and the message names the variable."""
    answers = {value: read(otelcol, tmp_path, **{variable: value}) for value in refused}
    assert {value: (status, variable in message) for value, (status, message) in answers.items()} == dict.fromkeys(
        refused, (1, True)
    )


def test_every_queue_has_the_chosen_size(otelcol: Path, tmp_path: Path) -> None:
    """One variable sets how many items the queue of each signal holds."""
    status, printed = read(otelcol, tmp_path, OTELCOL_QUEUE_ITEMS="5000000")
    assert status == 0, printed
    exporters = yaml.safe_load(printed)["exporters"]
    queues = {signal: exporters[f"otlp_http/{signal}"]["sending_queue"] for signal in ("metrics", "logs", "traces")}
    assert {signal: queue["queue_size"] for signal, queue in queues.items()} == dict.fromkeys(queues, 5_000_000)


def test_a_name_of_digits_stays_as_it_is(otelcol: Path, tmp_path: Path) -> None:
    """The name of a Collector is a text, also where YAML would read a number or a date."""
    for name in ("0123", "1e3", "2026-11-30", "true"):
        status, printed = read(otelcol, tmp_path, HOSTNAME=name)
        assert status == 0, printed
        config = yaml.safe_load(printed)
        counts = config["connectors"]["count/refused"].values()
        labels = [metric["attributes"][-1] for each in counts for metric in each.values() if metric["attributes"]]
        attributes = config["service"]["telemetry"]["resource"]["attributes"]
        assert [label["default_value"] for label in labels] == [name] * 3
        assert {"name": "service.instance.id", "value": name} in attributes


def test_an_address_before_a_port_is_in_brackets() -> None:
    """Where a variable is an address and a port follows, brackets around it keep IPv6 apart from the port."""
    files = [
        *COLLECTOR.glob("*.yaml"),
        ROOT / "deploy" / "tempo" / "tempo.yaml",
        ROOT / "deploy" / "loki" / "loki.yaml",
    ]
    glued = {
        path.name: found
        for path in files
        if (found := re.findall(r"endpoint: \"?\$\{[^}]*\}:", path.read_text(encoding="utf-8")))
    }
    assert glued == {}


def test_a_missing_token_file_ends_the_start(otelcol: Path, tmp_path: Path) -> None:
    """Without its token file the Collector does not start, and the message names the file."""
    environment = collector_environment("http://127.0.0.1:1", tmp_path, OTELCOL_BIND="127.0.0.1")
    configs = [part for name in FILES[:2] for part in ("--config", str(COLLECTOR / name))]
    done = subprocess.run(
        [str(otelcol), *configs],
        env=environment | {"OTELCOL_TOKENS_FILE": str(tmp_path / "missing")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f'failed to read credentials file "{tmp_path}/missing"' in done.stderr.splitlines()[-1]


def test_a_collector_on_ipv6_takes_records_and_adds_no_blank_attribute(otelcol: Path, tmp_path: Path) -> None:
    """On `[::1]` the Collector is healthy and takes records, and a blank environment is no environment."""
    tokens = tmp_path / "tokens"
    tokens.write_text("token\n", encoding="utf-8")
    variables = {"OTELCOL_BIND": "::1", "OTELCOL_HEALTH_HOST": "::1", "OTELCOL_TOKENS_FILE": str(tokens)}
    variables |= {
        "OTELCOL_ENVIRONMENT": " \t\n",
        "OTELCOL_CLUSTER": "\n",
        "OTELCOL_MEMORY_MIB": "",
        "OTELCOL_QUEUE_BYTES": "",
    }
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name="over IPv6")
    with otlp_backend() as backend:
        environment = collector_environment(backend.address, tmp_path, **variables)
        with running_collector(otelcol, environment, tmp_path, ["agent.yaml", "remote.yaml"]) as running:
            assert running.send("/v1/traces", request, {"Authorization": "Bearer token"}) == 200
            eventually(lambda: backend.received("/v1/traces"))
        assert attributes(backend) == [{}]


def attributes(backend: Backend) -> list[dict[str, str]]:
    """Returns the resource attributes of all received spans."""
    return [
        {each.key: each.value.string_value for each in resource.resource.attributes}
        for request in backend.received("/v1/traces")
        for resource in request.resource_spans  # type: ignore[attr-defined]
    ]
