"""The files for Kafka: valid for the real binary, and wrong variables end the start. With a broker: tests/faults/test_kafka_faults.py.

Sources: open-telemetry/opentelemetry-collector-contrib#38604 (a setting on which every message fails), #39919 (the name
`$ConnectionString`); vectordotdev/vector#12928 and streamthoughts/jikkou#590 (passwords with signs, or that begin with a digit).
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import built_servers
import pytest
import yaml
from pipeline_servers import ROOT, collector_environment

COLLECTOR = ROOT / "collector"
LOGIN = ("kafka_tls.yaml", "kafka_sasl.yaml")
COMBINATIONS = [
    ("agent.yaml", "to_kafka.yaml"),
    ("agent.yaml", "remote.yaml", "gateway.yaml", "to_kafka.yaml"),
    ("agent.yaml", "to_kafka.yaml", *LOGIN),
    ("agent.yaml", "to_kafka.yaml", "console.yaml", "clickhouse.yaml", "hosted.yaml", "host_metrics_transform.yaml"),
    ("agent.yaml", "from_kafka.yaml"),
    ("agent.yaml", "from_kafka.yaml", "clickhouse.yaml"),
    ("agent.yaml", "gateway.yaml", "from_kafka.yaml", *LOGIN),
]
# variable, values that are taken, values that are refused
TABLE: list[tuple[str, list[str], list[str]]] = [
    ("OTELCOL_KAFKA_BROKERS", ["a:9092", "[::1]:9092,a:9092"], ["", "a:9092,", "a:9092, b:9092"]),
    ("OTELCOL_KAFKA_TOPIC_PREFIX", ["", "ml.otel-v1_"], ["  ", "team/x"]),
    ("OTELCOL_KAFKA_GROUP", ["", "team.a"], ["  "]),
    ("OTELCOL_KAFKA_CERT_FILE", [""], ["client.pem"]),
    ("OTELCOL_KAFKA_KEY_FILE", [""], ["client.key"]),
    ("OTELCOL_KAFKA_CA_FILE", ["", "ca.pem"], []),
    ("OTELCOL_KAFKA_USERNAME", ["0123", "$ConnectionString"], [""]),
    ("OTELCOL_KAFKA_PASSWORD", ["0x1f $a}#: '\"{"], [""]),
    ("OTELCOL_KAFKA_MECHANISM", ["PLAIN", "SCRAM-SHA-256"], ["", "GSSAPI"]),
]
EVERY = ("agent.yaml", "from_kafka.yaml", *LOGIN)


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((COLLECTOR / name).read_text(encoding="utf-8"))
    return loaded


def run(command: str, names: tuple[str, ...], folder: Path, **more: str) -> tuple[int, str]:
    """Returns the status of a command of the Collector, and what it printed."""
    tokens = folder / "tokens"
    tokens.write_text("token\n", encoding="utf-8")
    environment = collector_environment("http://127.0.0.1:1", folder, OTELCOL_BIND="127.0.0.1")
    environment |= {"OTELCOL_TOKENS_FILE": str(tokens), "OTELCOL_KAFKA_BROKERS": "kafka-0:9092,kafka-1:9092"}
    environment |= {"OTELCOL_KAFKA_USERNAME": "collector", "OTELCOL_KAFKA_PASSWORD": "secret"}
    environment["CLICKHOUSE_ENDPOINT"] = "http://127.0.0.1:8123"
    if "to_kafka.yaml" in names:
        # What nothing is sent to needs no address.
        del environment["LOKI_OTLP_ENDPOINT"], environment["TEMPO_OTLP_ENDPOINT"]
    arguments = [part for name in names for part in ("--config", str(COLLECTOR / name))]
    binary = str(built_servers.binary("collector-gateway"))
    done = subprocess.run(
        [binary, command, *arguments], env=environment | more, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_the_files_for_kafka_are_valid(names: tuple[str, ...], tmp_path: Path) -> None:
    """`validate` builds the whole graph and reports nothing, not even a deprecation."""
    assert run("validate", names, tmp_path) == (0, "")


@pytest.mark.parametrize(
    "names", [("to_kafka.yaml", "from_kafka.yaml"), ("from_kafka.yaml", "to_kafka.yaml")], ids="+".join
)
def test_a_circle_through_kafka_is_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    """A Collector that would read from Kafka what it has written there does not start, and one line names both files."""
    status, message = run("validate", ("agent.yaml", *names), tmp_path)
    assert (status, message.count("to_kafka.yaml_and_from_kafka.yaml_would_send_in_a_circle")) == (1, 1), message


def test_right_values_for_kafka_are_taken(tmp_path: Path) -> None:
    """The Collector starts with other values than the defaults, whichever their form."""
    for index in range(2):
        values = {variable: taken[index % len(taken)] for variable, taken, _ in TABLE}
        assert run("validate", EVERY, tmp_path, **values) == (0, "")


@pytest.mark.parametrize(
    ("variable", "refused"), [(row[0], row[2]) for row in TABLE if row[2]], ids=[row[0] for row in TABLE if row[2]]
)
def test_a_wrong_variable_of_kafka_is_refused_by_name(variable: str, refused: list[str], tmp_path: Path) -> None:
    """A value that no broker or client takes ends the start, and the message names the variable."""
    answers = {value: run("validate", EVERY, tmp_path, **{variable: value}) for value in refused}
    assert {value: (status, variable in message) for value, (status, message) in answers.items()} == dict.fromkeys(
        refused, (1, True)
    )


def test_each_variable_of_kafka_is_in_the_table_and_on_the_page() -> None:
    """Each variable of the files is tried above, and the Collector's page names it."""
    text = "".join(
        (COLLECTOR / name).read_text(encoding="utf-8") for name in ("to_kafka.yaml", "from_kafka.yaml", *LOGIN)
    )
    found = {part.split("}")[0].split(":")[0] for part in text.split("${env:")[1:]} - {"OTELCOL_QUEUE_ITEMS"}
    assert found == {row[0] for row in TABLE}
    page = (COLLECTOR / "README.md").read_text(encoding="utf-8")
    assert [variable for variable in sorted(found) if f"`{variable}`" not in page] == []


def test_a_name_and_a_password_stay_as_they_are(tmp_path: Path) -> None:
    """A login is a text, also where YAML would read a number, a comment or a list."""
    login = {"OTELCOL_KAFKA_USERNAME": "$ConnectionString", "OTELCOL_KAFKA_PASSWORD": "0x1f $a}#: [\"{'"}
    status, printed = run("print-config", EVERY, tmp_path, **login)
    assert status == 0, printed
    config = yaml.safe_load(printed)
    clients = [config["exporters"]["kafka"], *(each for key, each in config["receivers"].items() if key[:5] == "kafka")]
    found = [(each["auth"]["sasl"]["username"], each["auth"]["sasl"]["password"]) for each in clients]
    assert found == [tuple(login.values())] * 4


def test_the_login_reaches_every_client() -> None:
    """TLS and login are set for the exporter and for each receiver: one that was forgotten would send in clear text."""
    clients = {"kafka", *(key for key in load("from_kafka.yaml")["receivers"] if key.startswith("kafka/"))}
    for name, setting in zip(LOGIN, ("tls", "auth"), strict=True):
        parts = load(name)["exporters"] | load(name)["receivers"]
        assert {key for key, part in parts.items() if setting in part and "_belong_" not in key} == clients


def test_spans_are_cut_before_kafka() -> None:
    """Each signal goes to Kafka instead of to its back end, spans after they were cut."""
    ours = load("to_kafka.yaml")["service"]["pipelines"]
    assert {key: part["exporters"] for key, part in ours.items()} == dict.fromkeys(
        ("traces/out", "logs/out", "metrics/out"), ["kafka"]
    )
    assert ours["traces/out"]["processors"] == ["transform/cut_spans"]


def test_a_message_leaves_the_queue_when_the_replicas_have_it() -> None:
    """The queue is on disk, requests are split and never merged, and a retry has no time limit."""
    exporter = load("to_kafka.yaml")["exporters"]["kafka"]
    queue = exporter["sending_queue"]
    assert (exporter["producer"]["required_acks"], queue["storage"], queue["num_consumers"]) == (
        "all",
        "file_storage/queue",
        1,
    )
    assert (queue["batch"]["min_size"], queue["batch"]["max_size"]) == (0, 900000)
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"


def test_a_message_is_done_when_it_is_in_the_queue() -> None:
    """Every receiver reads from the start, marks a message after its delivery to the queue, and waits without a time limit."""
    for key, receiver in load("from_kafka.yaml")["receivers"].items():
        if key.startswith("kafka/"):
            assert receiver["initial_offset"] == "earliest"
            assert receiver["message_marking"] == {"after": True, "on_error": False, "on_permanent_error": True}
            assert receiver["error_backoff"]["max_elapsed_time"] == "0s"
    for exporter in ("otlp_http/traces", "otlp_http/logs", "otlp_http/metrics"):
        assert load("from_kafka.yaml")["exporters"][exporter]["sending_queue"]["block_on_overflow"]
