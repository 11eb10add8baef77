"""A batch is counted whole, and nothing in it is paired by guesswork.

Sources: EdwinWenink/udacity-ml-fastapi (a batch endpoint that drops rows which it cannot read); recommenders-team/recommenders#961,
PaccMann/TITAN#10 and wjko2/Domain-Agnostic-Sentence-Specificity-Prediction#6 (fewer predictions than inputs, and nobody
knows which rows are missing); mlflow/mlflow#3683 (a large batch is evaluated in part), dotnet/machinelearning#3778, metabase/metabase#6079 and
justin13601/ACES#12 (only the first rows are read).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

ROWS = [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]
KEYWORDS: dict[str, Any] = {"task": "binary", "classes": [0, 1], "capture_features": "all", "events": "all"}


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


def by(points: list[dict[str, Any]], attribute: str) -> dict[Any, float]:
    """Returns the values of a metric by one attribute."""
    found: dict[Any, float] = {}
    for point in points:
        key = point["attributes"].get(attribute)
        found[key] = found.get(key, 0) + point["value"]
    return found


def omissions(metrics: dict[str, Any]) -> dict[str, float]:
    """Returns the counts of what was left out, by reason."""
    return by(metrics.get("otelml.prediction.omissions", []), "otelml.omission.reason")


def record(model: otel_ml.Model) -> None:
    model.record(ROWS, prediction=[1, 0], score=[0.9, 0.2], batch=True, id=["x", "y", "z"])


def decorate(model: otel_ml.Model) -> None:
    model.track(lambda features: {"predictions": [1, 0], "scores": [0.9, 0.2]})(ROWS)


def set_output(model: otel_ml.Model) -> None:
    with model.prediction(ROWS, id=["x", "y", "z"]) as prediction:
        prediction.set_output([1, 0], [0.9, 0.2], batch=True)


@pytest.mark.parametrize("predict", [record, decorate, set_output])
def test_fewer_outputs_than_inputs_are_not_paired(
    kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, predict: Any
) -> None:
    """The outputs are counted; their rows have no features and no ids, and a line, a count and the event say so."""
    model = otel_ml.Model("census", "1", batch=True, **KEYWORDS)

    with caplog.at_level(logging.WARNING, "otel_ml"):
        predict(model)
        predict(model)
    metrics, events = kit.metrics(), kit.events("ml.prediction")
    body = json.loads(events[0]["body"])

    assert by(metrics["ml.predictions"], "ml.prediction.class") == {"0": 2, "1": 2}
    assert omissions(metrics) == {"pairing": 6}
    assert body["rows"] == [{"prediction": "1", "score": 0.9}, {"prediction": "0", "score": 0.2}]
    assert {"inputs": 3, "outputs": 2}.items() <= body["unpaired"].items()
    assert len([line for line in caplog.records if "were not paired" in line.getMessage()]) == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_ids_of_another_number_are_not_given_to_rows(kit: InMemoryTelemetry, count: int) -> None:
    """Ids that are more or fewer than the rows belong to nobody knows which."""
    model = otel_ml.Model("census", "1", **KEYWORDS)

    model.record(ROWS, prediction=[1, 0, 1], batch=True, id=[f"id-{index}" for index in range(count)])
    metrics, (event,) = kit.metrics(), kit.events("ml.prediction")

    assert json.loads(event["body"]) == {
        "rows": [{"prediction": "1"}, {"prediction": "0"}, {"prediction": "1"}],
        "unpaired": {"outputs": 3, "inputs": 3, "ids": count},
    }
    assert omissions(metrics) == {"pairing": max(3, count)}


def test_scores_of_another_number_are_left_out(kit: InMemoryTelemetry) -> None:
    """Predictions pair with the inputs, scores with nothing."""
    model = otel_ml.Model("census", "1", **KEYWORDS)

    model.record(ROWS, prediction=[1, 0, 1], score=[0.9, 0.2], batch=True)
    metrics, (event,) = kit.metrics(), kit.events("ml.prediction")

    assert "ml.prediction.score" not in metrics
    assert omissions(metrics) == {"pairing": 1}
    assert [row["id"][-2:] for row in json.loads(event["body"])["rows"]] == [".0", ".1", ".2"]


def test_labels_do_not_reach_rows_that_nobody_knows(tmp_path: Path) -> None:
    """The store of ground truth does not get the rows of an unpaired batch."""
    truth = otel_ml.GroundTruth(f"sqlite:///{tmp_path / 'truth.db'}")
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("census", "1", ground_truth=truth, **KEYWORDS)
        record(model)
        model.record(ROWS[:1], prediction=[1], score=[0.9], batch=True, id=["z"])
        kit.flush()
        truth.flush(10)
        states = [truth.record_label(name, 1) for name in ("x", "y", "z")]
    truth.close()

    assert states == ["waiting", "waiting", "matched"]


def test_inputs_and_outputs_of_an_unpaired_batch_are_counted_each_for_itself(kit: InMemoryTelemetry) -> None:
    """Bins are counts of one column: each input and each output is in them once, and no rule `shape` is broken."""
    frame = pd.DataFrame({"a": np.arange(300.0) % 10, "score": np.linspace(0.01, 0.99, 300)})
    profile = otel_ml.ReferenceProfile.fit(frame, score="score")
    model = otel_ml.Model("census", "1", profile=profile, **KEYWORDS)

    record(model)
    metrics = kit.metrics()

    assert by(metrics["ml.feature.values"], "ml.feature.name") == {"a": 3, "__prediction__": 2}
    assert by(metrics.get("ml.data.violations", []), "ml.rule.name").get("shape", 0) == 0


LARGE = 150_000
SICK = 100_000
"""From this row on the batch is broken and of the other class: a table is sorted, so its head is no sample of it."""


def large_columns() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    values = np.random.default_rng(7).normal(size=LARGE)
    values[SICK:] = np.nan
    predictions = np.zeros(LARGE, int)
    predictions[SICK:] = 1
    return values, predictions


def as_frame(values: np.ndarray[Any, Any]) -> Any:
    return pd.DataFrame({"c": values})


def as_array(values: np.ndarray[Any, Any]) -> Any:
    return values.reshape(-1, 1)


def as_columns(values: np.ndarray[Any, Any]) -> Any:
    return {"c": values.tolist()}


def as_rows(values: np.ndarray[Any, Any]) -> Any:
    return [{"c": value} for value in values.tolist()]


def as_polars(values: np.ndarray[Any, Any]) -> Any:
    import polars as pl

    return pl.DataFrame({"c": values})


def as_arrow(values: np.ndarray[Any, Any]) -> Any:
    return pytest.importorskip("pyarrow").table({"c": values})


def frame_of_outputs(predictions: np.ndarray[Any, Any]) -> Any:
    return pd.DataFrame({"prediction": predictions, "probability": np.where(predictions == 1, 0.9, 0.1)})


def mapping_of_outputs(predictions: np.ndarray[Any, Any]) -> Any:
    return {"predictions": predictions, "scores": np.where(predictions == 1, 0.9, 0.1)}


def pair_of_outputs(predictions: np.ndarray[Any, Any]) -> Any:
    return predictions, np.where(predictions == 1, 0.9, 0.1)


def rows_of_outputs(predictions: np.ndarray[Any, Any]) -> Any:
    return [{"prediction": int(one), "probability": 0.9 if one else 0.1} for one in predictions]


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        (as_frame, frame_of_outputs),
        (as_array, mapping_of_outputs),
        (as_columns, pair_of_outputs),
        (as_rows, rows_of_outputs),
        (as_polars, frame_of_outputs),
        (as_arrow, frame_of_outputs),
    ],
)
def test_every_row_of_a_large_batch_is_counted(kit: InMemoryTelemetry, shape: Any, answer: Any) -> None:
    """Classes, scores, bins and missing values equal the rows, in every shape of inputs and outputs."""
    values, predictions = large_columns()
    train = pd.DataFrame({"c": np.arange(1000.0) / 100 - 5, "score": np.linspace(0.001, 0.999, 1000)})
    model = otel_ml.Model(
        "weekly", "1", task="binary", classes=[0, 1], profile=otel_ml.ReferenceProfile.fit(train, score="score")
    )

    model.track(lambda features: answer(predictions))(shape(values))
    metrics = kit.metrics()

    assert by(metrics["ml.predictions"], "ml.prediction.class") == {"0": SICK, "1": LARGE - SICK}
    assert by(metrics["ml.feature.missing"], "ml.feature.name")["c"] == LARGE - SICK
    assert by(metrics["ml.feature.values"], "ml.feature.name") == {"c": SICK, "__prediction__": LARGE}
    assert sum(point["count"] for point in metrics["ml.prediction.score"]) == LARGE
    assert sum(point["sum"] for point in metrics["ml.prediction.score"]) == pytest.approx(0.1 * SICK + 0.9 * 50_000)
    assert by(metrics.get("ml.data.violations", []), "ml.rule.name").get("shape", 0) == 0
    assert sum(point["value"] for point in metrics["ml.data.invalid_predictions"]) in {0, LARGE - SICK}


def test_every_row_keeps_the_id_that_the_caller_gave() -> None:
    """The ids of all rows of a batch reach the store, however they were handed over."""
    stored: list[str] = []

    class Store:
        def log_prediction(self, prediction: Any) -> None:
            stored.append(prediction.id)

        def drain_first(self, drain: Any) -> None:
            """Needs nothing."""

    _, predictions = large_columns()
    names = pd.Series([f"customer-{index}" for index in range(LARGE)])
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("weekly", "1", task="binary", classes=[0, 1], ground_truth=Store())
        model.record(prediction=predictions, id=names, batch=True)
        kit.flush()

    assert len(stored) == LARGE
    assert sorted(stored) == sorted(names)


def test_rows_with_too_many_columns_are_counted_and_named(
    kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A wide table is cut at 1,000 columns; a line and a count say so."""
    model = otel_ml.Model("wide", "1", **KEYWORDS)

    with caplog.at_level(logging.WARNING, "otel_ml"):
        model.record(np.zeros((3, 1200)), prediction=[1, 0, 1], batch=True)

    assert omissions(kit.metrics()) == {"features": 200}
    assert [line for line in caplog.records if "1,000 features" in line.getMessage()]


@pytest.mark.parametrize("rows", [[{}, {}], [[], []], [{"a": 1.0}, {}]], ids=str)
def test_rows_without_columns_have_not_too_many(kit: InMemoryTelemetry, rows: list[Any]) -> None:
    """Nothing is left out of a batch of empty rows."""
    otel_ml.Model("m").record(rows, prediction=[1, 0], batch=True)

    assert omissions(kit.metrics()) == {}


def test_a_failed_batch_is_not_held(kit: InMemoryTelemetry) -> None:
    """The result of a large batch is let go of at the end of the call."""
    import gc
    import weakref

    class Answer(np.ndarray[Any, Any]):
        pass

    answers = [np.zeros(LARGE).view(Answer)]
    alive = weakref.ref(answers[0])
    model = otel_ml.Model("weekly", "1", task="regression")

    def fail(prediction: otel_ml.Prediction) -> None:
        with prediction:
            prediction.set_output(answers.pop(), batch=True)
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        fail(model.prediction())
    kit.metrics()
    gc.collect()

    assert alive() is None


@pytest.mark.parametrize("text", ["", "\x7f", "é" * 200])
def test_an_event_says_how_many_rows_it_leaves_out(kit: InMemoryTelemetry, text: str) -> None:
    """Wide rows fill an event before there are 100 of them: `rows_omitted` counts all the others."""
    frame = pd.DataFrame({f"c{column}": np.linspace(0.1, 0.7, 300) / (column + 3) for column in range(40)})
    model = otel_ml.Model("wide", "1", **KEYWORDS)

    model.record(frame.assign(text=text), prediction=[1] * 300, batch=True)
    (event,) = kit.events("ml.prediction")
    body = json.loads(event["body"])

    assert 30 < len(body["rows"]) < 100
    assert body["rows_omitted"] == 300 - len(body["rows"])
    assert body["rows"][29]["features"]["c39"] == frame["c39"][29]
    assert set(body) == {"rows", "rows_omitted"}
    assert len(event["body"].encode()) <= 65_536


def test_a_row_that_fills_an_event_is_cut(kit: InMemoryTelemetry) -> None:
    """The first row is in the event, however long it is; the outcome stays."""
    rows = [{f"c{column}": "x" * 1000 for column in range(100)}] * 3
    otel_ml.Model("wide", "1", **KEYWORDS).record(rows, prediction=[1, 0, 1], score=[0.9] * 3, batch=True)
    (event,) = kit.events("ml.prediction")
    body = json.loads(event["body"])

    assert (len(body["rows"]), body["rows_omitted"]) == (1, 2)
    assert {"prediction": "1", "score": 0.9, "truncated": True}.items() <= body["rows"][0].items()
    assert len(event["body"].encode()) <= 65_536
