"""Scores, and the classes that they name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from otel_ml import _guard
from otel_ml.prediction.boundary._outputs import Output, given, recognise

ROW = Output(1, ["1"], [None], [0.7])


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"prediction": 1, "probability": 0.93}, Output(None, ["1"], [None], [0.93])),
        ({"prediction": 1.0, "score": 0.93}, Output(None, ["1"], [None], [0.93])),
        ({"prediction": 41.5, "score": 0.93}, Output(None, [None], [41.5], [0.93])),
        ({"prediction": 41}, Output(None, [None], [41.0], [None])),
    ],
)
def test_a_whole_number_beside_a_score_is_a_class(result: dict[str, Any], expected: Output) -> None:
    """A measured number does not come with a score; without a score it stays a value."""
    assert recognise(result, task="other", classes=None, batch=False, rows=None) == expected


@pytest.mark.parametrize(
    ("result", "rows", "expected"),
    [
        ([[0.3, 0.7]], None, Output(None, ["1"], [None], [0.7])),
        ([0.3, 0.7], None, Output(None, ["1"], [None], [0.7])),
        ([0.8, 0.2], None, Output(None, ["0"], [None], [0.2])),
        ([0.5, 0.5], None, Output(None, ["0"], [None], [0.5])),
        ({"probability": [0.3, 0.7]}, None, Output(None, ["1"], [None], [0.7])),
        ({"prediction": 0, "probability": [0.3, 0.7]}, None, Output(None, ["0"], [None], [0.7])),
        (np.array([[0.3, 0.7]]), 1, ROW),
        (np.array([[0.3, 0.7], [0.9, 0.1]]), 2, Output(2, ["1", "0"], [None, None], [0.7, 0.1])),
    ],
)
def test_the_likelier_of_two_declared_classes_is_predicted(result: Any, rows: int | None, expected: Output) -> None:
    """The class is that of scikit-learn's `predict`; the score stays that of the positive class."""
    assert recognise(result, task="binary", classes=["0", "1"], batch=False, rows=rows) == expected


def test_two_probabilities_name_a_class_in_set_output_and_record() -> None:
    """Both read them like a returned result."""
    read = [
        given(*arguments, task="binary", classes=["0", "1"], batch=batch)
        for arguments, batch in ((([[0.3, 0.7]],), True), ((None, [[0.3, 0.7]]), True))
    ]
    assert read == [ROW, ROW]


@pytest.mark.parametrize(("task", "classes"), [("binary", None), ("binary", ["a", "b", "c"]), ("multiclass", None)])
def test_probabilities_without_declared_classes_are_logged_once(
    task: str, classes: list[str] | None, caplog: Any
) -> None:
    """The class stays unknown, and one line names what to declare."""
    _guard.reset()
    found = [recognise([[0.3, 0.7]], task=task, classes=classes, batch=False, rows=None) for _ in range(2)]

    assert found == [Output(None, [None], [None], [0.7])] * 2
    (record,) = caplog.records
    assert record.message == (
        f"otel-ml: probabilities of a {task} model were read as a score only: no class is known without classes=..., "
        "in the order of their columns; accuracy and F1 need it"
    )


def test_probabilities_beside_a_class_need_no_declaration(caplog: Any) -> None:
    """Nothing is missing, so nothing is logged."""
    _guard.reset()
    output = recognise(
        {"prediction": 1, "probability": [0.3, 0.7]}, task="binary", classes=None, batch=False, rows=None
    )

    assert (output, caplog.records) == (Output(None, ["1"], [None], [0.7]), [])
