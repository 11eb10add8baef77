"""An id that was given and cannot be read is said, since no label finds its prediction; forms that people have are read.

Sources: Arize-ai/phoenix#428 (predictions without an id get a generated one), SeldonIO/seldon-core#251 (each row of a request
has its id), augerai/a2ml#234 (actuals of ids that do not exist are not said), CamDavidsonPilon/lifelines#953 (predictions are a
frame of one column).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

ROWS = 70
IDS = [f"r{number}" for number in range(ROWS)]
CLASSES = [number % 2 for number in range(ROWS)]
SCORES = [number / ROWS for number in range(ROWS)]
FEATURES = pd.DataFrame({"x": SCORES})


@pytest.fixture
def truth(tmp_path: Path) -> Iterator[otel_ml.GroundTruth]:
    made = otel_ml.GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    yield made
    made.close()


def omissions(telemetry: InMemoryTelemetry) -> dict[str, float]:
    points = telemetry.metrics().get("otelml.prediction.omissions", [])
    return {point["attributes"]["otelml.omission.reason"]: point["value"] for point in points}


def labelled(truth: otel_ml.GroundTruth) -> tuple[dict[str, int], Any, Any]:
    """Labels every row under its id; returns the states, the accuracy, and how many rows have a score."""
    truth.flush()
    states = truth.record_labels(zip(IDS, CLASSES, strict=True))
    found = truth.compute_metrics(0, 4e9, model="m")
    return {str(state): count for state, count in states.items()}, found["accuracy"], found["scored"]


@pytest.mark.parametrize(
    "column",
    [
        lambda values: pd.DataFrame({"a": values}),
        lambda values: pl.DataFrame({"a": values}),
        lambda values: pa.table({"a": values}),
        lambda values: pa.RecordBatch.from_pydict({"a": values}),
        lambda values: np.array(values)[:, None],
        lambda values: [[value] for value in values],
        lambda values: dict(enumerate(values)).values(),
    ],
    ids=["pandas", "polars", "arrow", "record batch", "array", "lists", "values of a dict"],
)
def test_a_table_of_one_column_is_its_column(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, column: Callable[[list[Any]], Any]
) -> None:
    """As predictions, scores and ids, in few rows and in many."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth)
    for rows in (slice(0, 3), slice(3, ROWS)):
        given = [column(values[rows]) for values in (CLASSES, SCORES, IDS)]
        model.record(FEATURES[rows], prediction=given[0], score=given[1], id=given[2], batch=True)
    assert labelled(truth) == ({"matched": ROWS}, 1.0, ROWS)
    assert omissions(kit) == {}


@pytest.mark.parametrize("rows", [[{"id": name} for name in IDS], pd.DataFrame({"id": IDS})], ids=["rows", "frame"])
def test_the_id_of_the_model_is_asked_for_each_row(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, rows: Any
) -> None:
    """One callable serves a single row, a list of rows and a frame."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth, id=lambda row: row["id"])
    model.record(rows, prediction=CLASSES, score=SCORES, batch=True)
    model.record({"id": "one"}, prediction=0)
    assert labelled(truth) == ({"matched": ROWS}, 1.0, ROWS)
    assert (truth.record_label("one", 0), omissions(kit)) == ("matched", {})


@pytest.mark.parametrize(
    ("given", "unread"),
    [
        (lambda: map(str, IDS), 1),
        (lambda: set(IDS), 1),
        (lambda: object(), 1),
        (lambda: [None, *IDS[1:]], 1),
        (lambda: pd.Series([np.nan, "", pd.NA, *IDS[3:]], dtype=object), 3),
    ],
    ids=["iterator", "set", "object", "None in a list", "missing in a column"],
)
def test_ids_that_cannot_be_read_are_said(
    kit: InMemoryTelemetry,
    truth: otel_ml.GroundTruth,
    caplog: pytest.LogCaptureFixture,
    given: Callable[[], Any],
    unread: int,
) -> None:
    """A line says what to give, and a count how many; the other rows keep their ids."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth)
    model.record(FEATURES, prediction=CLASSES, id=given(), batch=True)
    lost = unread if isinstance(given(), list | pd.Series) else ROWS
    assert labelled(truth)[0].get("waiting") == lost
    assert omissions(kit) == {"id": unread}
    assert [message.partition(",")[0] for message in caplog.messages] == ["otel-ml: model 'm': an id cannot be read"]


@pytest.mark.parametrize("source", [lambda row: row["order"], lambda row: row.get("order"), lambda row: {}[row]])
def test_an_id_that_the_model_does_not_find_is_said(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, source: Callable[[Any], Any]
) -> None:
    """A callable that raises, or that returns None for a row without the field."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth, id=source)
    model.track(lambda row: 1)({"x": 1.0})
    truth.flush()
    assert (truth.account().stored, omissions(kit)) == (1, {"id": 1})


def test_a_prediction_without_an_id_misses_none(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """Where nobody gave one there is nothing to say."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth)
    model.record({}, prediction=1)
    model.record(FEATURES, prediction=CLASSES, batch=True)
    truth.flush()
    assert omissions(kit) == {}


def test_scores_that_cannot_be_read_are_said(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """An iterator of scores is left alone; the classes count, and so does what was not measured."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth)
    scores = iter(SCORES)
    model.record(FEATURES, prediction=CLASSES, score=scores, id=IDS, batch=True)
    assert labelled(truth) == ({"matched": ROWS}, 1.0, 0)
    assert (omissions(kit), next(scores)) == ({"score": 1}, 0.0)
