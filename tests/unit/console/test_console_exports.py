"""Predictions as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from console_feed import batch, failure, label, logs, now, prediction

from otel_ml.console.storage.lists._prediction_export import COLUMNS

PATH = "/api/export/predictions"


@pytest.fixture
def filled(console):
    """A failed prediction, a labelled one with hostile values, and a batch of two."""
    console.feed(
        logs(
            failure("f-1", at=now()),
            prediction('a,"b"\n', features={"note": 'x,"y"', "age": 41}, at=now() + 1),
            batch("b-1", 2, at=now() + 2, own="bb" * 8),
            label('a,"b"\n', "0", correct=False, at=now() + 5),
            label("b-1.1", "0", at=now() + 5, own="bb" * 8),
        )
    )
    return console


def read(console, query):
    answer = console.send(f"{PATH}?{query}")
    assert answer.status == 200
    return answer


def as_rows(console, kind, query=""):
    """The rows of a file, with features as values."""
    answer = read(console, f"format={kind}&{query}")
    assert f"predictions.{kind}" in answer.headers["content-disposition"]
    if kind == "json":
        return answer.json()
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))
        numbers, flags = ("value", "score", "duration"), {"true": True, "false": False}
        plain = [{name: text or None for name, text in row.items()} for row in rows]
        plain = [row | {name: row[name] and float(row[name]) for name in numbers} for row in plain]
        rows = [row | {name: flags.get(row[name]) for name in ("failed", "correct")} for row in plain]
    else:
        rows = pq.read_table(io.BytesIO(answer.body)).to_pylist()
        for row in rows:
            row |= {name: row[name] and row[name].isoformat().replace("+00:00", "Z") for name in ("time", "label_time")}
    return [row | {"features": row["features"] and json.loads(row["features"])} for row in rows]


def test_each_kind_of_file_has_the_same_rows(filled):
    """CSV, JSON and Parquet have the same columns and values, the newest first, and a row for each of a batch."""
    rows = as_rows(filled, "json")
    assert [list(row) for row in rows] == [list(COLUMNS)] * 4
    assert [(row["id"], row["batch_id"], row["label"], row["correct"]) for row in rows] == [
        ("b-1.0", "b-1", None, None),
        ("b-1.1", "b-1", "0", True),
        ('a,"b" ', None, "0", False),
        ("f-1", None, None, None),
    ]
    assert (rows[2]["features"], rows[1]["features"], rows[3]["failed"]) == (
        {"note": 'x,"y"', "age": 41},
        {"age": 21},
        True,
    )
    assert as_rows(filled, "csv") == rows
    assert as_rows(filled, "parquet") == rows


@pytest.mark.parametrize(("kind", "end"), [("csv", b"features\n"), ("json", b"[]\n"), ("parquet", b"PAR1")])
def test_a_file_without_predictions_is_whole(console, kind, end):
    """A filter that nothing fits gives a file of its kind without rows."""
    assert read(console, f"format={kind}&model=nobody").body.endswith(end)
    assert as_rows(console, kind) == []


def test_a_file_goes_on_over_all_pages(console, monkeypatch):
    """More predictions than are read together, some pages of them empty, come in one file."""
    monkeypatch.setattr("otel_ml.console.web._exports._EVENTS", 7)
    monkeypatch.setattr("otel_ml.console.storage.lists._prediction_list._SLICES", (3, 6))
    console.feed(
        logs(*(prediction(f"p-{index}", at=now() + index) for index in range(40)), label("p-2"), label("p-39"))
    )
    assert [row["id"] for row in as_rows(console, "csv")] == [f"p-{index}" for index in reversed(range(40))]
    for kind in ("csv", "json", "parquet"):
        assert [row["id"] for row in as_rows(console, kind, "truth=right")] == ["p-39", "p-2"]


def test_a_wrong_kind_is_refused(console):
    """A kind of file that there is not is a 400 with one line, before anything is written."""
    answer = console.send(f"{PATH}?format=xlsx")
    assert (answer.status, answer.json()) == (400, {"error": "format: expected csv or json or parquet"})
