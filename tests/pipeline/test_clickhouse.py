"""Predictions and labels of every task through SDK, Collector and its ClickHouse exporter into the engine of ClickHouse.

Sources: open-telemetry/opentelemetry-collector-contrib#34771 (a ClickHouse that is away ends the start of the Collector), #48875
(a table that could not be described at the start loses columns until the next one), #43599 (spans of more than 100 days are
refused for ever).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import built_servers
import clickhouse_server
import pytest
from clickhouse_server import PASSWORD, Server
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from pipeline_servers import (
    ROOT,
    Collector,
    collector_environment,
    eventually,
    free_ports,
    otlp_backend,
    running_collector,
)

import otel_ml
from otel_ml import semconv

CONFIGS = ("agent.yaml", "clickhouse.yaml")
EXACT = 1e-9
TASKS = ("binary", "multiclass", "multilabel", "regression", "ranking", "versions of binary", "versions of regression")
DAY = 86_400 * 10**9


def start(folder: Path, server: str, **more: str) -> Any:
    """Runs a Collector with the overlay; what goes to the other back ends is taken by a recording one."""
    binary = built_servers.binary("collector-gateway")
    environment = collector_environment(more.pop("others", "http://127.0.0.1:9"), folder)
    environment |= {"CLICKHOUSE_ENDPOINT": server, "CLICKHOUSE_PASSWORD": PASSWORD, **more}
    return running_collector(binary, environment, folder, CONFIGS)


def make_tables(server: Server) -> None:
    server.execute("CREATE DATABASE IF NOT EXISTS otel", "default")
    for name in ("tables.sql", "views.sql"):
        server.script(ROOT / "deploy" / "clickhouse" / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """The server, in whose tables everything of `labelled_data.py` has arrived."""
    with clickhouse_server.running_server(folder / "clickhouse") as running, otlp_backend() as others:
        make_tables(running)
        with start(folder, running.address, others=others.address) as collector:
            record(folder, collector)
            assert collector.stop() == 0
        yield running


def record(folder: Path, collector: Collector) -> None:
    """Records the predictions and labels of all tasks with one process, and the same in a store of SQLite."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_METRICS_EXPORTER": "none"}
    command = [sys.executable, str(Path(__file__).parent / "labelled_data.py"), "1", f"sqlite:///{folder}/store.db"]
    subprocess.run(command, env=environment, check=True, timeout=120)


@pytest.fixture(scope="module")
def lake(server: Server) -> Iterator[otel_ml.GroundTruth]:
    """The predictions and labels in ClickHouse."""
    truth = otel_ml.GroundTruth(server.url(), read_only=True)
    yield truth
    truth.close()


@pytest.fixture(scope="module")
def store(folder: Path, server: Server) -> Iterator[otel_ml.GroundTruth]:
    """The same predictions and labels as the service stored them."""
    truth = otel_ml.GroundTruth(f"sqlite:///{folder}/store.db", read_only=True)
    yield truth
    truth.close()


def without_probabilities(figures: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what takes the probability of each class, which events do not have."""
    left_out = {*semconv.SCORE_FIGURES, "scored", "notes", "calibration"}
    return {
        name: without_probabilities(value) if isinstance(value, dict) else value
        for name, value in figures.items()
        if name not in left_out
    }


def assert_equal(left: Any, right: Any) -> None:
    """Compares structures, and the numbers in them to 1e-9."""
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for name, value in left.items():
            assert_equal(value, right[name])
    elif isinstance(left, list):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_equal(one, other)
    else:
        assert left == (pytest.approx(right, rel=EXACT, abs=EXACT) if isinstance(right, float) else right)


@pytest.mark.parametrize("by", ["labeled_at", "predicted_at"])
@pytest.mark.parametrize("task", TASKS)
def test_figures_equal_those_of_the_store(
    task: str, by: str, lake: otel_ml.GroundTruth, store: otel_ml.GroundTruth
) -> None:
    """Each figure and interval of each task is that of the store, but for the probabilities of each class."""
    expected, found = (truth.compute_metrics(0, 4e9, model=task, role=None, by=by) for truth in (store, lake))
    assert found["labelled"] > 0
    if task in {"multiclass", "multilabel"}:
        expected, found = without_probabilities(expected), without_probabilities(found)
    assert_equal(found, expected)


@pytest.mark.parametrize(("task", "challenger"), [("binary", "canary"), ("binary", "shadow"), ("regression", "shadow")])
def test_versions_compare_as_in_the_store(
    task: str, challenger: str, lake: otel_ml.GroundTruth, store: otel_ml.GroundTruth
) -> None:
    """Pairs, verdict and distances of scores are those of the store."""
    expected, found = (
        truth.compare_versions(0, 4e9, model=f"versions of {task}", challenger=challenger) for truth in (store, lake)
    )
    assert_equal(found, expected)


@pytest.fixture(scope="module")
def in_sql(server: Server) -> list[dict[str, Any]]:
    """The figures of all models, as SQL computes them."""
    return server.rows(
        "SELECT * FROM otel_ml_figures(start = '2020-01-01', end = '2036-01-01', step = 1000000000, segment = '')"
    )


@pytest.mark.parametrize("task", TASKS)
def test_figures_in_sql_equal_those_of_the_store(
    task: str, in_sql: list[dict[str, Any]], store: otel_ml.GroundTruth
) -> None:
    """`otel_ml_figures` gives each version and role the figures of the store."""
    rows = [row for row in in_sql if row["model"] == task]
    served = [(version, role) for name, version, role in store.models() if name == task]
    assert sorted((row["version"], row["role"]) for row in rows) == sorted(served)
    for row in rows:
        expected = store.compute_metrics(
            0, 4e9, model=task, version=row["version"], role=row["role"], by="predicted_at"
        )
        names = {"multilabel": ("exact_match",), "ranking": ()}.get(
            task,
            ("accuracy", "precision", "recall", "f1", "mae", "rmse", "bias", "predicted", "labelled", "count"),
        )
        names += () if task in {"multiclass", "multilabel", "ranking"} else ("auc", "brier_score")
        assert_equal({name: row[name] for name in names}, {name: expected.get(name) for name in names})


def test_each_span_and_event_arrives_once(server: Server) -> None:
    """A prediction has its span and its event, and a label its event, on the trace of the prediction."""
    counts = {
        row["name"]: int(row["times"])
        for row in server.rows("SELECT EventName AS name, count() AS times FROM otel_logs GROUP BY name")
    }
    assert counts == {"ml.prediction": 3600, "ml.label": 3600}
    joined = "SELECT uniqExact(l.SpanId) AS spans FROM otel_logs AS l JOIN otel_traces AS t ON l.SpanId = t.SpanId AND l.TraceId = t.TraceId"
    assert server.rows(f"{joined} WHERE l.EventName = 'ml.label'") == [{"spans": 3600}]


def label(number: int) -> ExportLogsServiceRequest:
    """Returns a label as anybody may send it over OTLP."""
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add().scope_logs.add(scope={"name": "otel_ml"})
    attributes = {"ml.model.name": "away", "ml.prediction.id": str(number), "ml.label.value": "1"}
    record = logs.log_records.add(event_name="ml.label")
    record.attributes.extend(KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items())
    return request


def spans(days: int) -> ExportTraceServiceRequest:
    """Returns a span of each of the last days."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for day in range(days):
        at = 20_000 * DAY - day * DAY
        scope.spans.add(
            trace_id=b"\7" * 16, span_id=(day + 1).to_bytes(8, "big"), start_time_unix_nano=at, end_time_unix_nano=at
        )
    return request


def test_what_was_sent_while_clickhouse_was_away_arrives(tmp_path: Path) -> None:
    """The Collector starts without ClickHouse, keeps its queue when it is killed, and sends events with their names and old spans."""
    port = free_ports(1)[0]
    with otlp_backend() as others:
        environment = {"others": others.address, "OTELCOL_QUEUE_DIR": str(tmp_path / "queue")}
        with start(tmp_path, f"http://127.0.0.1:{port}", **environment) as collector:
            assert [collector.send("/v1/logs", label(number)) for number in range(3)] == [200] * 3
            assert collector.send("/v1/traces", spans(150)) == 200
            eventually(lambda: others.received("/v1/traces"))
            collector.stop(signal.SIGKILL)
        with (
            start(tmp_path, f"http://127.0.0.1:{port}", **environment),
            clickhouse_server.running_server(tmp_path / "data", port) as server,
        ):
            make_tables(server)
            eventually(
                lambda: server.rows("SELECT count() AS times FROM otel_traces WHERE SpanId != ''") == [{"times": 150}]
            )
            names = "SELECT EventName AS name, uniqExact(LogAttributes['ml.prediction.id']) AS labels FROM otel_logs GROUP BY name"
            eventually(lambda: server.rows(names) == [{"name": "ml.label", "labels": 3}])


@pytest.mark.parametrize("value", ["", "  ", "clickhouse:8123", "tcp://clickhouse:9000", "http://::1:8123"])
def test_a_wrong_address_ends_the_start(value: str, tmp_path: Path) -> None:
    """The message names the variable."""
    environment = collector_environment("http://127.0.0.1:1", tmp_path, CLICKHOUSE_ENDPOINT=value)
    configs = [part for name in CONFIGS for part in ("--config", str(ROOT / "collector" / name))]
    command = [str(built_servers.binary("collector-gateway")), "validate", *configs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "CLICKHOUSE_ENDPOINT" in done.stdout + done.stderr) == (1, True)
