"""A label of several classes or items is what people hold: a list, a set, a row of 0 and 1, the cell of a CSV file.

Sources: ThilinaRajapakse/simpletransformers#51, pandas-dev/pandas#58906 and biolink/kgx#64 (a column of lists comes back from CSV
as text), AI4EPS/PhaseNet#9 (and as numpy wrote it), scikit-learn/scikit-learn#7931 (rows of 0 and 1 as lists).
"""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import otel_ml
from otel_ml.ground_truth import LoggedPrediction
from otel_ml.testing import InMemoryTelemetry

CLASSES = ("a", "b", "c")


pytestmark = pytest.mark.usefixtures("telemetry")


def predict(truth: otel_ml.GroundTruth, *names: str, task: str = "multilabel", predicted: str = '["a", "c"]') -> None:
    classes = CLASSES if task != "ranking" else None
    number = 2.5 if task == "regression" else None
    for name in names:
        truth.log_prediction(
            LoggedPrediction(
                *(name, "m", "1", "primary", task, None, 1.0, None if number else predicted, number, None, 1, 2, True),
                classes=classes,
            )
        )
    truth.flush()


AS_HELD: list[Any] = [
    ["c", "a"],
    ("a", "c", "a"),
    {"a", "c"},
    frozenset({"c", "a"}),
    np.array(["a", "c"]),
    pd.Series(["c", "a"]),
    '["a", "c"]',
    "['a', 'c']",
    "['a' 'c']",
    "{'c', 'a'}",
    [1, 0, 1],
    np.array([1, 0, 1]),
    np.array([1.0, 0.0, 1.0]),
    [True, False, True],
    "[1, 0, 1]",
    "[1 0 1]",
    "[1. 0. 1.]",
    {"a": 1, "b": 0, "c": 1},
    {"a": True, "b": False, "c": True},
]


def test_the_set_of_a_multilabel_prediction(telemetry: InMemoryTelemetry, store_url: str) -> None:
    """Each form is the same set of classes, before its prediction and after it; the event shows both as lists."""
    truth = otel_ml.GroundTruth(store_url)
    early = {f"early-{place}": label for place, label in enumerate(AS_HELD)}
    late = {f"late-{place}": label for place, label in enumerate(AS_HELD)}
    assert truth.record_labels(early) == {"waiting": len(AS_HELD)}
    predict(truth, *early, *late)
    assert truth.record_labels(late) == {"matched": len(AS_HELD)}
    assert truth.record_labels(dict.fromkeys((*early, *late), ["a", "c"])) == {"duplicate": 2 * len(AS_HELD)}
    truth.close()

    events = telemetry.logs()
    assert {event["body"] for event in events} == {'{"prediction": ["a", "c"], "label": ["a", "c"]}'}
    assert {(event["attributes"]["ml.label.value"], event["attributes"]["ml.label.correct"]) for event in events} == {
        ('["a", "c"]', True)
    }


def test_one_class_or_none(truth: otel_ml.GroundTruth) -> None:
    """A bare class is a set of one, and an empty list says that no class is there."""
    names = [f"p{place}" for place in range(5)]
    predict(truth, *names)
    held: list[Any] = ["b", " b ", [], "[]", [0, 0, 0]]
    assert truth.record_labels(zip(names, held, strict=True)) == {"matched": 5}
    assert truth.record_labels(zip(names, [["b"], ["b"], [], [], []], strict=True)) == {"duplicate": 5}


def test_a_set_that_cannot_be_read_is_none(truth: otel_ml.GroundTruth) -> None:
    """A missing entry does not make a smaller set."""
    predict(truth, "p")
    unreadable: list[Any] = [None, float("nan"), ["a", None], [["a"], ["b"]], '[["a"]]', [object()], np.zeros((2, 3))]
    assert [truth.record_label("p", label) for label in unreadable] == ["failed"] * 7
    assert truth.account().failed == {"unreadable": 7}


def test_each_class_of_a_set_has_to_be_declared(truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture) -> None:
    """The label is refused for that and the line names it."""
    predict(truth, "p")
    assert truth.record_label("p", ["a", "d"]) == "failed"
    assert truth.account().failed == {"undeclared_class": 1}
    assert "is not a declared class of model 'm' (a, b, c)" in caplog.text


FRAME = pd.DataFrame({"prediction_id": ["p", "q"], "label": [["c", "a"], []]})
FROM_CSV = pd.read_csv(io.StringIO(FRAME.to_csv(index=False)))
INDICATORS = pd.DataFrame({"prediction_id": ["p", "q"], "a": [1, 0], "b": [0, 0], "c": [1, 0]})


MANY: list[Any] = [
    FRAME,
    pl.from_pandas(FRAME),
    pa.Table.from_pandas(FRAME),
    FROM_CSV,
    INDICATORS,
    pa.Table.from_pandas(INDICATORS),
    {"p": ["a", "c"], "q": []},
    pd.Series([["a", "c"], []], index=["p", "q"]),
    [("p", {"a", "c"}), ("q", set())],
    list(zip(["p", "q"], np.array([[1, 0, 1], [0, 0, 0]]), strict=True)),
]


def test_many_sets_at_once(truth: otel_ml.GroundTruth) -> None:
    """A column of lists, its form after a way through CSV, and a column of 0 and 1 for each class."""
    predict(truth, "p", "q")
    assert truth.record_labels({"p": ["a", "c"], "q": []}) == {"matched": 2}
    assert [truth.record_labels(labels) for labels in MANY] == [{"duplicate": 2}] * len(MANY)


def test_a_frame_without_labels_has_none(truth: otel_ml.GroundTruth) -> None:
    """Columns that are not all of 0 and 1 are no classes."""
    predict(truth, "p", "q")
    assert truth.record_labels(INDICATORS.assign(b=[0.5, 0])) == {"failed": 1}
    assert truth.record_labels(INDICATORS[["prediction_id", "a"]]) == {"failed": 1}


RELEVANT: list[tuple[Any, str]] = [
    (["y", "x"], '["x", "y"]'),
    ("x", '["x"]'),
    ([1, 0], '["0", "1"]'),
    ("[12, 7]", '["12", "7"]'),
    ("[   1 6620 8114]", '["1", "6620", "8114"]'),
    ({"x": 3, "y": 1, "z": 0}, '{"x": 3.0, "y": 1.0}'),
    ('{"x": 3, "y": 1}', '{"x": 3.0, "y": 1.0}'),
]


def test_the_relevant_items_of_a_ranking(telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """They are a set, or each has its gain; a ranking is neither right nor wrong."""
    names = [f"p{place}" for place in range(len(RELEVANT))]
    predict(truth, *names, task="ranking", predicted='["z", "x"]')
    truth.record_labels(zip(names, [label for label, _ in RELEVANT], strict=True))
    events = telemetry.logs()
    assert [event["attributes"]["ml.label.value"] for event in events] == [stored for _, stored in RELEVANT]
    assert not any("ml.label.correct" in event["attributes"] for event in events)
    assert [json.loads(event["body"]) for event in events] == [
        {"prediction": ["z", "x"], "label": json.loads(stored)} for _, stored in RELEVANT
    ]


def test_an_event_shows_the_first_hundred(telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """A set of any size is stored, and an event stays small."""
    predict(truth, "p", task="ranking")
    truth.record_label("p", list(range(500)))
    (event,) = telemetry.logs()
    assert len(json.loads(event["body"])["label"]) == len(json.loads(event["attributes"]["ml.label.value"])) == 100
    assert truth.record_label("p", list(range(500))) == "duplicate"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_list_for_a_task_of_single_values(truth: otel_ml.GroundTruth, task: str) -> None:
    """It is known with the prediction that the label cannot be one of its task; it waits as well as any other before."""
    lists: list[Any] = [["a", "b"], [1, 0], (1.5, 2.5), {"a": 1}, {"a", "b"}, "['a', 'b']"]
    labels = {f"p{place}": label for place, label in enumerate(lists)}
    assert truth.record_labels(labels) == {"waiting": len(lists)}
    predict(truth, *labels, task=task, predicted="a")
    assert truth.record_labels(labels) == {"failed": len(lists)}
    assert truth.account().failed == {"several_values": 2 * len(lists)}


def test_a_class_may_look_like_a_list(truth: otel_ml.GroundTruth) -> None:
    """Intervals have such names: a declared or predicted class is one."""
    labels = {}
    for name in ("[0, 10]", "[0, 1]", "(0, 10]", "[UNK]", "{x}", "(other)", '["a"]'):
        for declared in (None, (name, "x")):
            one = ("multiclass", None, 1.0, name, None, 0.5, 1, 2, True, declared)
            truth.log_prediction(LoggedPrediction(f"{name} {declared}", "m", "1", "primary", *one))
            labels[f"{name} {declared}"] = name
    truth.flush()
    assert truth.record_labels(labels) == {"matched": len(labels)}


def test_the_store_has_readable_sets(telemetry: InMemoryTelemetry, tmp_path: Path) -> None:
    """Prediction and label of a row are JSON texts in one spelling: as declared, sorted, each class once."""
    truth = otel_ml.GroundTruth(f"sqlite:///{tmp_path}/p.db")
    truth.log_prediction(
        LoggedPrediction(
            *("p", "m", "1", "primary", "multilabel", None, 1.0, '["2.0", "1"]', None, None, 1, 2, True),
            classes=("1", "2"),
        )
    )
    truth.flush()
    truth.record_label("p", [2.0, True])
    truth.close()
    with closing(sqlite3.connect(tmp_path / "p.db")) as connection:
        rows = connection.execute(
            "SELECT predicted, label, number FROM otel_ml_predictions JOIN otel_ml_labels USING (id)"
        ).fetchall()
    assert rows == [('["1", "2"]', '["1", "2"]', None)]
