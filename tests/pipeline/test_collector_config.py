"""The Collector's configuration files: valid for the real binary, and of the intended shape."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import built_servers
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_servers import ROOT, Backend, collector_environment, eventually, running_collector

from otel_ml import _credentials, semconv

COLLECTOR = ROOT / "collector"
COMBINATIONS = [
    ("agent.yaml",),
    ("agent.yaml", "console.yaml"),
    ("agent.yaml", "host_metrics_transform.yaml"),
    ("agent.yaml", "remote.yaml"),
    ("agent.yaml", "remote.yaml", "console.yaml"),
    ("agent.yaml", "gateway.yaml"),
    ("agent.yaml", "gateway.yaml", "remote.yaml", "console.yaml"),
    ("agent.yaml", "hosted.yaml"),
    ("agent.yaml", "remote.yaml", "gateway.yaml", "console.yaml", "hosted.yaml", "authorization.yaml"),
]
TO_GATEWAY = [
    ("agent.yaml", "to_gateway.yaml"),
    ("agent.yaml", "remote.yaml", "console.yaml", "to_gateway.yaml"),
    ("agent.yaml", "clickhouse.yaml", "to_gateway.yaml"),
    ("agent.yaml", "to_gateway.yaml", "console.yaml", "clickhouse.yaml", "host_metrics_transform.yaml"),
    ("agent.yaml", "remote.yaml", "gateway.yaml", "clickhouse.yaml"),
]
"""These need the build of gateway_builder.yaml."""
OVERLAYS = ["console.yaml", "gateway.yaml", "remote.yaml", "hosted.yaml", "authorization.yaml"]


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((COLLECTOR / name).read_text(encoding="utf-8"))
    return loaded


def tokens_file(folder: Path) -> str:
    file = folder / "tokens"
    file.write_text("first-token\nsecond-token\n", encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("names", [*COMBINATIONS, *TO_GATEWAY], ids="+".join)
def test_configuration_is_valid(names: tuple[str, ...], tmp_path: Path) -> None:
    """`validate` builds the whole graph and reports nothing, not even a deprecation."""
    otelcol = built_servers.binary("collector-gateway" if names in TO_GATEWAY else "collector")
    environment = collector_environment("http://127.0.0.1:1", tmp_path, OTELCOL_BIND="127.0.0.1")
    environment |= {"OTELCOL_TOKENS_FILE": tokens_file(tmp_path), "OTELCOL_GATEWAYS": "gateway-0:4317,gateway-1:4317"}
    environment["OTELCOL_AUTHORIZATION_FILE"] = environment["OTELCOL_TOKENS_FILE"]
    environment["CLICKHOUSE_ENDPOINT"] = "http://127.0.0.1:8123"
    arguments = [part for name in names for part in ("--config", str(COLLECTOR / name))]
    done = subprocess.run(
        [str(otelcol), "validate", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_commands_of_the_readme_run_as_printed(otelcol: Path, tmp_path: Path) -> None:
    """The build prints the path that the next commands use, and the Collector takes their variables and files."""
    text = (COLLECTOR / "README.md").read_text(encoding="utf-8")
    commands = "".join(block for block in text.split("```")[1::2] if '"$otelcol"' in block)
    assert commands.count('"$otelcol" --config') == 3
    script = commands.replace('"$otelcol" ', '"$otelcol" validate ').replace(
        "/var/tmp/otelcol", str(tmp_path / "queue")
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", f"{script}\necho $otelcol"],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{otelcol}\n", "")


def test_the_commands_for_tiers_and_kafka_run_as_printed(tmp_path: Path) -> None:
    """The first block builds the larger Collector into the variable that all blocks use, and it takes their files."""
    text = (COLLECTOR / "README.md").read_text(encoding="utf-8")
    commands = "".join(
        block for block in text.split("```")[1::2] if '"$otelcol_gateway"' in block and "client" not in block
    )
    assert commands.count('"$otelcol_gateway" --config') == 4
    token = str(tmp_path / "token")
    Path(token).write_text("a-token\n", encoding="utf-8")
    script = commands.replace('"$otelcol_gateway" ', '"$otelcol_gateway" validate ').replace("=token ", f"={token} ")
    environment = collector_environment("http://127.0.0.1:1", tmp_path, OTELCOL_BIND="::1", OTELCOL_TOKENS_FILE=token)
    done = subprocess.run(
        ["sh", "-eu", "-c", f"{script}\necho $otelcol_gateway"],
        cwd=ROOT,
        env={**os.environ, **environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{built_servers.binary('collector-gateway')}\n", "")


def test_memory_is_limited_first() -> None:
    """Every pipeline that receives starts with the memory limiter, so that its refusal still reaches the sender."""
    pipelines = load("agent.yaml")["service"]["pipelines"]
    first = {key: pipeline["processors"][0] for key, pipeline in pipelines.items() if pipeline["receivers"] == ["otlp"]}
    assert first == dict.fromkeys(["traces/in", "logs/in", "metrics/in"], "memory_limiter")


def test_redaction_comes_last() -> None:
    """After redaction records are only cut; what is not redacted keeps no value of a sender."""
    for name, pipeline in load("agent.yaml")["service"]["pipelines"].items():
        processors = pipeline.get("processors")
        if pipeline["receivers"] == [f"forward/{name}"]:
            last = ["transform/redact", "redaction/labels" if name == "metrics" else "redaction"]
            last += ["transform/cut"] if name == "logs" else []
            assert processors[-len(last) :] == last
        elif name.endswith("/refused"):
            assert processors == ["filter/only_refused", "transform/refused"]


def test_gateway_adds_sampling_and_removes_nothing() -> None:
    """A merged list replaces the agent's, so it must name all of the agent's processors; what is not kept is not redacted."""
    agent, gateway = load("agent.yaml")["service"], load("gateway.yaml")["service"]
    first, *others = agent["pipelines"]["traces"]["processors"]
    assert gateway["pipelines"] == {"traces": {"processors": [first, "tail_sampling", "batch/kept", *others]}}


@pytest.mark.parametrize("name", ["agent.yaml", "console.yaml", "to_gateway.yaml", "clickhouse.yaml"])
def test_each_exporter_has_its_own_bounded_queue_on_disk(name: str) -> None:
    """Each queue is persistent and bounded, and retries have no time limit; only ClickHouse, which refuses no item, gets merged requests."""
    for key, exporter in load(name)["exporters"].items():
        if "_must_" not in key and key != "debug/refused" and "no-place" not in exporter.get("endpoint", ""):
            queue = exporter["sending_queue"]
            assert queue["storage"] == "file_storage/queue"
            assert queue["queue_size"] == 50_000 or "OTELCOL_QUEUE_ITEMS" in queue["queue_size"]
            assert ("batch" in queue) == (key == "clickhouse")
            assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"


def test_no_queue_in_memory_between_agent_and_gateway() -> None:
    """A request stays in the queue on disk until the gateways have it: an attempt is short, and nothing takes it over before."""
    exporter = load("to_gateway.yaml")["exporters"]["load_balancing/traces"]
    assert exporter["protocol"]["otlp"]["sending_queue"] == {"enabled": False}
    assert exporter["timeout"] == "10s"


def merge(*files: dict[str, Any]) -> dict[str, Any]:
    """Merges as the Collector does: maps are joined, and of all else the last one counts."""
    merged: dict[str, Any] = {}
    for file in files:
        for key, value in file.items():
            former = merged.get(key)
            merged[key] = merge(former, value) if isinstance(former, dict) and isinstance(value, dict) else value
    return merged


def deliveries(pipelines: dict[str, Any], signal: str, start: str) -> set[str]:
    """Returns the exporters that what leaves a pipeline reaches."""
    found = set()
    for exporter in pipelines[start]["exporters"]:
        behind = [key for key, each in pipelines.items() if key.startswith(signal) and exporter in each["receivers"]]
        found |= set().union(*(deliveries(pipelines, signal, key) for key in behind)) if behind else {exporter}
    return found


@pytest.mark.parametrize("instead", [(), ("to_gateway.yaml",), ("to_kafka.yaml",)], ids="+".join)
def test_files_of_several_places_go_together_in_any_order(instead: tuple[str, ...]) -> None:
    """Each file adds its place, or takes the place of a back end, whichever is merged first; gateways get all traces.

    Source: open-telemetry/opentelemetry-collector#8754 (merged files replace lists).
    """
    files = ["console.yaml", "clickhouse.yaml", "hosted.yaml", "host_metrics_transform.yaml", *instead]
    own = "kafka" if "to_kafka.yaml" in files else ""
    expected = {
        "traces": {own or "otlp_http/traces", "otlp_http/console", "clickhouse"},
        "logs": {own or "otlp_http/logs", "otlp_http/console", "clickhouse"},
        "metrics": {own or "otlp_http/metrics", "otlp_http/console"},
    }
    if "to_gateway.yaml" in files:
        expected["traces"] = {"load_balancing/traces"}
    loaded = {name: load(name) for name in ["agent.yaml", *files]}
    for order in permutations(files):
        merged = merge(loaded["agent.yaml"], *(loaded[name] for name in order))
        pipelines = merged["service"]["pipelines"]
        assert {signal: deliveries(pipelines, signal, signal) for signal in expected} == expected, order
        assert deliveries(pipelines, "metrics", "metrics/own") == {"otlp_http/metrics"}
        for pipeline in pipelines.values():
            assert not [name for name in pipeline["exporters"] if "no-place" in str(merged["exporters"].get(name))]


def test_a_place_that_is_not_used_cannot_get_data(tmp_path: Path) -> None:
    """A file of your own that sends traces to the back end of which to_gateway.yaml has no address ends the start."""
    own = tmp_path / "own.yaml"
    own.write_text("service: { pipelines: { traces/out: { exporters: [otlp_http/traces] } } }", encoding="utf-8")
    environment = collector_environment("http://127.0.0.1:1", tmp_path, OTELCOL_GATEWAYS="gateway")
    configs = [COLLECTOR / "agent.yaml", COLLECTOR / "to_gateway.yaml", own]
    command = [built_servers.binary("collector-gateway"), "validate", *(f"--config={path}" for path in configs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "otlp_http/traces" in done.stderr) == (1, True)


def test_remote_keeps_the_extensions() -> None:
    """remote.yaml adds the token extension and keeps the others."""
    kept = load("agent.yaml")["service"]["extensions"]
    assert load("remote.yaml")["service"]["extensions"] == [*kept, "bearertokenauth/OTELCOL_TOKENS_FILE"]


def test_nothing_listens_beyond_loopback() -> None:
    """Without remote.yaml every listener of the configuration is on 127.0.0.1."""
    config = load("agent.yaml")
    protocols = config["receivers"]["otlp"]["protocols"]
    listeners = [each["endpoint"] for each in protocols.values()] + [config["extensions"]["health_check"]["endpoint"]]
    hosts = [re.sub(r"\$\{env:OTELCOL_HEALTH_HOST:-(.*?)\}", r"\1", each).split(":")[0] for each in listeners]
    assert [host.strip("[]") for host in hosts] == ["127.0.0.1"] * 3


def test_keys_exempt_from_redaction_hold_no_secrets() -> None:
    """Nothing that a caller chooses (id, text, class, label) is exempt from redaction."""
    processors = load("agent.yaml")["processors"]
    ignored = set(processors["redaction/labels"]["ignored_keys"])
    assert [key for key in processors["redaction"]["ignored_keys"] if re.search(_credentials.KEY, key)] == []
    chosen_by_callers = {
        semconv.PREDICTION_ID,
        semconv.PREDICTION_CLASS,
        semconv.PREDICTION_VALUE,
        semconv.LABEL_VALUE,
        semconv.EVAL_PREDICTED,
        semconv.EVAL_ACTUAL,
        semconv.EXCEPTION_MESSAGE,
        semconv.EXCEPTION_STACKTRACE,
        semconv.ERROR_TYPE,
        semconv.URL_PATH,
        semconv.USER_AGENT_ORIGINAL,
        semconv.CLIENT_ADDRESS,
    }
    assert ignored & chosen_by_callers == set()


KINDS = ("receivers", "processors", "exporters", "extensions", "connectors")
OLDER = {"hostmetricsreceiver", "kafkareceiver", "kafkaexporter"}


def modules(manifest: str) -> dict[str, str]:
    """Returns the modules of a builder manifest with their versions."""
    content = load(manifest)
    return dict(entry["gomod"].split() for kind in KINDS for entry in content[kind])


@pytest.mark.parametrize("manifest", ["builder.yaml", "gateway_builder.yaml"])
def test_components_have_one_version(manifest: str) -> None:
    """All modules have the version of the build; three that cannot be built at this version are one release older."""
    version = "v" + load(manifest)["dist"]["version"]
    older = {module.rsplit("/", 1)[1] for module, own in modules(manifest).items() if own != version}
    assert version == "v0.161.0"
    assert older == OLDER & {module.rsplit("/", 1)[1] for module in modules(manifest)}


def test_the_gateway_has_every_component_of_the_agent() -> None:
    """A configuration that runs on the lean build runs on the gateway's too."""
    assert modules("builder.yaml").items() <= modules("gateway_builder.yaml").items()


@pytest.mark.parametrize(
    ("manifest", "overlays"),
    [
        ("builder.yaml", OVERLAYS),
        ("gateway_builder.yaml", [*OVERLAYS, "to_gateway.yaml", "to_kafka.yaml", "from_kafka.yaml", "clickhouse.yaml"]),
    ],
)
def test_every_component_is_built_in(manifest: str, overlays: list[str]) -> None:
    """The configurations use only components of the build."""
    built = {
        re.sub(r"(receiver|processor|exporter|extension|connector)$", "", module.rsplit("/", 1)[1])
        for module in modules(manifest)
    }
    renamed = {"otlp_http": "otlphttp", "otlp_grpc": "otlp", "file_storage": "filestorage"}
    used = set()
    for name in ["agent.yaml", *overlays]:
        for kind in KINDS:
            used |= {key.split("/")[0] for key in load(name).get(kind, {})}
    assert {renamed.get(key, key).replace("_", "") for key in used} <= built


def test_a_sender_without_the_token_is_refused(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """With remote.yaml a request needs a token from the file, as it is now."""
    environment = collector_environment(backend.address, tmp_path, OTELCOL_BIND="127.0.0.1")
    environment["OTELCOL_TOKENS_FILE"] = tokens_file(tmp_path)
    request = ExportTraceServiceRequest()
    with running_collector(otelcol, environment, tmp_path, ["agent.yaml", "remote.yaml"]) as running:
        answers = [
            running.send("/v1/traces", request, headers)
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer second-token"})
        ]
        (tmp_path / "tokens").write_text("new-token\n", encoding="utf-8")
        eventually(lambda: running.send("/v1/traces", request, {"Authorization": "Bearer new-token"}) == 200)
        answers += [running.send("/v1/traces", request, {"Authorization": "Bearer second-token"})]
    assert answers == [401, 401, 200, 401]


def test_a_missing_endpoint_stops_the_start(otelcol: Path, tmp_path: Path) -> None:
    """Without a back-end address the Collector does not start, and names the variable."""
    environment = collector_environment("http://127.0.0.1:1", tmp_path)
    del environment["TEMPO_OTLP_ENDPOINT"]
    done = subprocess.run(
        [str(otelcol), "validate", "--config", str(COLLECTOR / "agent.yaml")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "TEMPO_OTLP_ENDPOINT_must_begin_with_http" in done.stderr) == (1, True)
    assert os.environ.get("TEMPO_OTLP_ENDPOINT") is None
