"""Predictions and labels in ClickHouse as people have them there: twice, late, corrected, inserted by hand, or not at all.

Sources: SigNoz/signoz-otel-collector#842 (a log that is sent again is a second row), cloudflare/sqlalchemy-clickhouse#26 (a query
reads all rows before the first one is there), open-telemetry/opentelemetry-collector-contrib#48770 (a data source asks for a
column that the exporter no longer has).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import clickhouse_server
import pytest
from clickhouse_server import PASSWORD, Server

import otel_ml
from otel_ml.cli import main
from otel_ml.ground_truth import StoreError

VIEWS = Path(__file__).resolve().parents[3] / "deploy" / "clickhouse"
START = 1_780_000_000
_names = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with clickhouse_server.running_server(tmp_path_factory.mktemp("clickhouse")) as running:
        running.execute("CREATE DATABASE otel", "default")
        for name in ("tables.sql", "views.sql"):
            running.script(VIEWS / name)
        yield running


@pytest.fixture
def model() -> str:
    """The name of a model that no other test has."""
    return f"model {next(_names)}"


@pytest.fixture
def lake(server: Server) -> Iterator[otel_ml.GroundTruth]:
    truth = otel_ml.GroundTruth(server.url(), read_only=True)
    yield truth
    truth.close()


def insert(server: Server, *records: dict[str, Any]) -> None:
    """Inserts log records."""
    rows = "\n".join(json.dumps({"ScopeName": "otel_ml", **record}) for record in records)
    server.execute(f"INSERT INTO otel_logs FORMAT JSONEachRow {rows}")


def prediction(model: str, name: str, predicted: str | None = "1", at: int = 0, **more: Any) -> dict[str, Any]:
    attributes = {"ml.model.name": model, "ml.model.version": "1", "ml.model.role": "primary", "ml.prediction.id": name}
    attributes |= {} if predicted is None else {"ml.prediction.class": predicted}
    attributes |= more.pop("attributes", {})
    body = json.dumps(more.pop("body", {}))
    return {
        "Timestamp": f"{START + at}.000000000",
        "EventName": "ml.prediction",
        "LogAttributes": attributes,
        "Body": body,
        "SpanId": name,
        **more,
    }


def label(model: str, name: str, value: str, at: int = 10, **attributes: str) -> dict[str, Any]:
    attributes = {"ml.model.name": model, "ml.prediction.id": name, "ml.label.value": value, **attributes}
    return {"Timestamp": f"{START + at}.000000000", "EventName": "ml.label", "LogAttributes": attributes}


def figures(lake: otel_ml.GroundTruth, model: str, **more: Any) -> dict[str, Any]:
    return lake.compute_metrics(START, START + 1000, model=model, by="predicted_at", **more)


def test_what_was_sent_twice_counts_once(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """The same event again is nothing new; another prediction under the id is counted, and the first one stays."""
    insert(server, *[prediction(model, "a", "1")] * 2, *[label(model, "a", "1")] * 2)
    found = figures(lake, model)
    assert (found["labelled"], found["predicted"], found["accuracy"]) == (1, 1, 1.0)
    insert(server, prediction(model, "a", "0", at=5, SpanId="another"))
    found = figures(lake, model)
    assert (found["labelled"], found["predicted"], found["coverage"], found["accuracy"]) == (1, 2, 0.5, 1.0)


def test_the_latest_label_counts_and_the_first_stays_visible(
    server: Server, lake: otel_ml.GroundTruth, model: str
) -> None:
    """A reversed chargeback replaces the label, whatever the order of arrival."""
    insert(server, prediction(model, "a", "1"), label(model, "a", "0", at=20), label(model, "a", "1", at=10))
    assert figures(lake, model)["accuracy"] == 0.0
    (row,) = server.rows(f"SELECT label, first_label FROM otel_ml_labels WHERE model = '{model}'")
    assert row == {"label": "0", "first_label": "1"}


def test_a_label_without_a_role_is_for_every_version(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """Labels that a job inserts know the id and the model only; those of a store name version and role."""
    other = {"ml.model.version": "2", "ml.model.role": "canary"}
    insert(server, prediction(model, "a", "1"), prediction(model, "a", "0", attributes=other), label(model, "a", "1"))
    found = lake.compare_versions(START, START + 1000, model=model)
    assert found["outcomes"] == {"both": 0, "only_baseline": 1, "only_challenger": 0, "neither": 0}
    insert(server, label(model, "a", "0", at=20, **other))
    outcomes = lake.compare_versions(START, START + 1000, model=model)["outcomes"]
    assert outcomes == {"both": 1, "only_baseline": 0, "only_challenger": 0, "neither": 0}


def in_sql(server: Server, model: str, segment: str = "") -> list[dict[str, Any]]:
    """Returns the figures of models as SQL computes them, by name and segment."""
    query = f"SELECT * FROM otel_ml_figures(start = {START}, end = {START + 1000}, step = 1000, segment = '{segment}')"
    return server.rows(f"{query} WHERE startsWith(model, '{model}') ORDER BY model, segment")


PAIRS = {
    "booleans": ([("1", "True"), ("1", "1.0"), ("0", "false"), ("0", "1"), ("1", "true")], 0.8),
    "numbers": ([("0.3", "0.30000001"), ("7.0", "7"), ("0.7", "7.0000001e-01"), ("1e-05", "0.00001")], 1.0),
    "written": ([("1", "+1"), ("0", "-0"), ("1", "1.000e+00"), ("0", "0.000e+00"), ("1", "-0.0"), ("1", " 1 ")], 5 / 6),
    "words of Python": ([("True", "+1"), ("False", "0.000e+00"), ("True", "-0")], 2 / 3),
    "predicted as written": ([("-0.0", "+0"), ("1.000e+00", "1"), ("-0", "false")], 1.0),
    "large": ([("10000000000000000000000", "1e+22"), ("1.0", "1"), ("1e+99", "1e+99")], 1.0),
    "intervals": ([("[0, 10)", "[10, 20)"), ("[0, 10)", "[0, 10)"), ("[10, 20]", "[20, 10]")], 1 / 3),
    "codes": ([("01", "1"), ("a", "a"), ("1e5", "100000")], 1 / 3),
    "words": ([("no", "yes"), ("no", "no")], 0.5),
    "unrelated": ([("red", "1"), ("blue", "2")], None),
}
"""Predicted and actual classes, and the accuracy."""
ODD_SCORES = ("nan", "0.2", "inf", "0.2", "0.9", "-Inf", "1e999", "")


def test_a_label_in_another_spelling_is_the_same_class(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """Booleans, numbers by seven digits, codes and words: SQL follows the one rule; without a common class there is no accuracy."""
    records = []
    for name, (pairs, _) in PAIRS.items():
        for number, (predicted, actual) in enumerate(pairs):
            score = {"ml.prediction.score": str(number // 2 * 0.3 + 0.1)}  # two of each
            records.append(prediction(f"{model} {name}", str(number), predicted, attributes=score))
            records.append(label(f"{model} {name}", str(number), actual))
    insert(server, *records)
    rows = {row["model"].removeprefix(f"{model} "): row for row in in_sql(server, model)}
    assert {name: row["accuracy"] for name, row in rows.items()} == {
        name: pytest.approx(each[1]) for name, each in PAIRS.items()
    }
    for name in PAIRS:
        found = figures(lake, f"{model} {name}")
        for figure in ("accuracy", "precision", "recall", "f1", "auc", "brier_score"):
            assert rows[name][figure] == pytest.approx(found[figure]), (name, figure)


def test_what_is_no_number_is_left_out(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """NaN and infinities are neither scores nor numbers, in an event and in a row of a batch; nor is an error beyond 1e70."""
    records = []
    for number, score in enumerate(ODD_SCORES):
        given = {"ml.prediction.score": score}
        records.append(prediction(f"{model} 1", str(number), str(number % 2), attributes=given))
        records.append(label(f"{model} 1", str(number), str(number // 2 % 2)))
    for number, (value, actual) in enumerate([("1.5", "+2"), ("NaN", "1"), ("3", "inf"), ("1e80", "1"), ("4", ".5")]):
        given = {"ml.model.task": "regression", "ml.prediction.value": value}
        records.append(prediction(f"{model} 2", str(number), None, attributes=given))
        records.append(label(f"{model} 2", str(number), actual))
    batch = prediction(f"{model} 3", "b", None, attributes={"ml.prediction.batch.size": "2"})
    rows = (
        '{"rows": [{"id": "b.0", "prediction": "1", "score": "NaN"}, {"id": "b.1", "prediction": "0", "score": 0.2}]}'
    )
    records += [{**batch, "Body": rows}, label(f"{model} 3", "b.0", "1"), label(f"{model} 3", "b.1", "0")]
    insert(server, *records)
    scored, numbers, of_batch = in_sql(server, model)
    assert (int(scored["scored"]), int(numbers["count"]), int(of_batch["scored"])) == (3, 1, 1)
    assert (scored["auc"], numbers["mae"]) == (0.25, 0.5)
    for number, row in enumerate((scored, numbers, of_batch), 1):
        found = figures(lake, f"{model} {number}")
        for figure in ("accuracy", "auc", "brier_score", "mae", "rmse", "bias"):
            assert row[figure] == pytest.approx(found.get(figure)), (number, figure)


def test_rows_of_a_batch_are_predictions(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """Each row has its id, class or number or set, score and features, by which segments are read."""
    rows = [
        {"id": "b.0", "prediction": "1", "score": 0.9, "features": {"region": "north", "is_new": True}},
        {"id": "b.1", "prediction": "0", "score": 0.2, "features": {"region": "south", "is_new": False}},
        {"id": "b.2", "score": None},
    ]
    event = prediction(model, "b", None, attributes={"ml.prediction.batch.size": "3"}, body={"rows": rows})
    insert(server, event, label(model, "b.0", "1"), label(model, "b.1", "1"))
    found = figures(lake, model, by_segment="region")
    assert {name: (each["labelled"], each["accuracy"]) for name, each in found.items()} == {
        "north": (1, 1.0),
        "south": (1, 0.0),
    }
    assert set(figures(lake, model, by_segment="is_new")) == {"True", "False"}
    rows = in_sql(server, model, "region")
    assert [(row["segment"], row["accuracy"]) for row in rows] == [("north", 1.0), ("south", 0.0)]


def test_calls_that_failed_are_no_predictions(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """Neither is one in whose result nothing was recognised."""
    insert(
        server,
        prediction(model, "a"),
        prediction(model, "b", None),
        prediction(model, "c", attributes={"error.type": "ValueError"}),
        {**prediction(model, "d"), "EventName": "ml.prediction.exception"},
    )
    assert figures(lake, model)["predicted"] == 1


def test_redacted_ids_are_left_out(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """The Collector masks mail addresses: predictions of many customers would be one, with the label of the last."""
    ids = ["****", "order-****", "order-7"]
    insert(server, *(prediction(model, each) for each in ids), *(label(model, each, "1") for each in ids))
    found = figures(lake, model)
    assert (found["predicted"], found["labelled"], lake.waiting(model=model)) == (1, 1, [])


def test_labels_without_a_prediction_are_reported(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """If events are sampled, most labels find no prediction: the figures say how many."""
    insert(server, prediction(model, "a"), label(model, "a", "1"), label(model, "b", "1"), label(model, "c", "0"))
    assert [(one.id, one.reason) for one in lake.waiting(model=model)] == [("b", "unknown_id"), ("c", "unknown_id")]
    assert any(note.startswith("2 labels wait for a prediction") for note in figures(lake, model)["notes"])


def test_an_event_whose_name_is_missing_gets_it(server: Server, model: str) -> None:
    """So it is after a start of the Collector without ClickHouse; logs of others get none."""
    records = [prediction(model, "a"), label(model, "a", "1"), prediction(model, "b", ScopeName="others")]
    insert(server, *({key: value for key, value in one.items() if key != "EventName"} for one in records))
    names = server.rows(
        f"SELECT EventName AS name FROM otel_logs WHERE LogAttributes['ml.model.name'] = '{model}' ORDER BY name"
    )
    assert [row["name"] for row in names] == ["", "ml.label", "ml.prediction"]
    assert server.rows("SELECT count() AS rows FROM otel_logs WHERE TimestampTime < now()")


def test_many_predictions_are_read_in_slices(server: Server, lake: otel_ml.GroundTruth, model: str) -> None:
    """Figures of more rows than are read at a time are those of all rows."""
    about = f"'ml.model.name', '{model}', 'ml.model.role', 'primary', 'ml.model.version', '1', 'ml.prediction.id', toString(number)"
    insert_rows = "INSERT INTO otel_logs (Timestamp, EventName, LogAttributes) SELECT"
    numbers = "FROM numbers(25000)"
    server.execute(
        f"{insert_rows} {START}, 'ml.prediction', map({about}, 'ml.prediction.class', toString(number % 2)) {numbers}"
    )
    server.execute(
        f"{insert_rows} {START}, 'ml.label', map({about}, 'ml.label.value', toString(number % 5 % 2)) {numbers}"
    )
    found = figures(lake, model)
    assert (found["count"], found["accuracy"]) == (25_000, 0.5)


def test_commands_read_clickhouse(server: Server, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`evaluate` and `compare` take its address as they take that of any store."""
    other = {"ml.model.version": "2"}
    insert(
        server,
        prediction(model, "a"),
        prediction(model, "b", attributes=other),
        label(model, "a", "1"),
        label(model, "b", "0"),
    )
    window = ["--since", "2026-05-01", "--until", "2026-07-01", "--json"]
    assert main(["evaluate", "--store", server.url(), "--model", model, *window]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 0.5
    assert main(["compare", "--store", server.url(), "--model", model, *window]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["baseline"]["value"], found["challenger"]["value"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((PASSWORD, "wrong"), "Authentication failed"),
        (("/otel", "/default"), "it has no table otel_ml_predictions; make it with deploy/clickhouse/views.sql"),
        (("/otel", "/nowhere"), "nowhere"),
    ],
)
def test_a_place_that_cannot_be_read_is_one_line(
    wrong: tuple[str, str], said: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the place and what is wrong, and never the password."""
    assert main(["evaluate", "--store", server.url().replace(*wrong), "--model", "m"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not {PASSWORD, ":wrong@"} & set(error.split())
    assert PASSWORD not in error


def test_a_server_that_is_away_is_one_line_of_the_command() -> None:
    """What the driver logs is not printed beside it."""
    command = [
        sys.executable,
        "-m",
        "otel_ml",
        "evaluate",
        "--store",
        "clickhouse://me:secret@127.0.0.1:1/otel",
        "--model",
        "m",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("otel-ml evaluate: prediction store clickhouse://me:***@127.0.0.1:1/otel: ")
    assert done.stderr.count("\n") == 1


def test_clickhouse_is_only_read(server: Server, lake: otel_ml.GroundTruth) -> None:
    """A store that would write is refused with the reason, as are labels and estimates."""
    with pytest.raises(StoreError, match="ClickHouse is only read"):
        otel_ml.GroundTruth(server.url())
    with pytest.raises(StoreError, match="ClickHouse does not have"):
        lake.estimate_metrics(START, START + 1, model="m")
    assert lake.record_label("a", 1) == "failed"
