"""How a result is understood, task by task."""

from __future__ import annotations

import copy
import dataclasses
import enum
import types
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from tensors import Tensor

from otel_ml.prediction.boundary import _outputs
from otel_ml.prediction.boundary._outputs import Output, given, recognise

NAN = float("nan")
ABC = ("a", "b", "c")


@dataclasses.dataclass
class Answer:
    prediction: int = 1
    probability: float = 0.93


@dataclasses.dataclass(slots=True)
class SlottedAnswer:
    label: str = "1"
    score: float = 0.93


class ModelAnswer(pydantic.BaseModel):
    prediction: int = 1
    confidence: float = 0.93


class PropertyAnswer:
    @property
    def prediction(self):
        return 1

    @property
    def score(self):
        return 0.93

    @property
    def confidence(self):
        raise RuntimeError


class Anything:
    """It has every attribute, so none of them means anything."""

    def __getattr__(self, name):
        return 1


class Verdict(enum.Enum):
    FRAUD = "fraud"


def one(name=None, value=None, score=None):
    return Output(None, [name], [value], [score])


def read(result, task="binary", *, classes=None, batch=False, rows=None):
    return recognise(result, task=task, classes=classes, batch=batch, rows=rows)


SINGLE = [
    ("binary", {"prediction": 1, "probability": 0.93}, one("1", score=0.93)),
    ("binary", {"prediction": "fraud", "probability": 0.93}, one("fraud", score=0.93)),
    ("binary", {"prediction": True, "probability": 0.93}, one("True", score=0.93)),
    ("binary", {"label": np.int64(1), "score": np.float32(0.5)}, one("1", score=0.5)),
    ("binary", {"class": 1.0, "confidence": Decimal("0.5")}, one("1", score=0.5)),
    ("binary", {"prediction": None, "label": "x"}, one("x")),
    ("binary", {"prediction": 1, "probability": [0.1, 0.9]}, one("1", score=0.9)),
    ("binary", {"prediction": 1, "probability": NAN}, one("1")),
    ("binary", {"prediction": 0.93}, one(score=0.93)),
    ("binary", {"prediction": [0.1, 0.9]}, one(score=0.9)),
    ("binary", {"predictions": [1], "probabilities": [0.93]}, one("1", score=0.93)),
    ("binary", {"score": 0.93}, one(score=0.93)),
    ("binary", types.MappingProxyType({"prediction": 1}), one("1")),
    ("binary", Answer(), one("1", score=0.93)),
    ("binary", SlottedAnswer(), one("1", score=0.93)),
    ("binary", ModelAnswer(), one("1", score=0.93)),
    ("binary", PropertyAnswer(), one("1", score=0.93)),
    ("binary", pd.DataFrame({"prediction": [1], "score": [0.93]}), one("1", score=0.93)),
    ("binary", 1, one("1")),
    ("binary", True, one("True")),
    ("binary", np.bool_(True), one("True")),
    ("binary", "fraud", one("fraud")),
    ("binary", b"fraud", one("fraud")),
    ("binary", Verdict.FRAUD, one("fraud")),
    ("binary", 0.7, one(score=0.7)),
    ("binary", np.float64(0.7), one(score=0.7)),
    ("binary", 1.0, one(score=1.0)),
    ("binary", np.array([1]), one("1")),
    ("binary", np.array(1), one("1")),
    ("binary", Tensor([0.5]), one(score=0.5)),
    ("binary", [[0.1, 0.9]], one(score=0.9)),
    ("binary", np.array([[0.1, 0.9]]), one(score=0.9)),
    ("binary", [0.1, 0.9], one(score=0.9)),
    ("binary", (1, 0.93), one("1", score=0.93)),
    ("binary", ("fraud", 0.93), one("fraud", score=0.93)),
    ("binary", [{"label": "fraud", "score": 0.93}], one("fraud", score=0.93)),
    ("binary", NAN, one()),
    ("binary", {"prediction": NAN}, one()),
    ("multiclass", "a", one("a")),
    ("multiclass", 2.0, one("2")),
    ("multiclass", ("a", 0.5), one("a", score=0.5)),
    ("multiclass", np.array([[0.1, 0.2, 0.7]]), one("c", score=0.7)),
    ("multiclass", {"prediction": "a", "probability": [0.7, 0.2, 0.1]}, one("a", score=0.7)),
    ("multilabel", "a", one('["a"]')),
    ("regression", 2.5, one(value=2.5)),
    ("regression", 2, one(value=2.0)),
    ("regression", np.float32(2.5), one(value=2.5)),
    ("regression", np.array([2.5]), one(value=2.5)),
    ("regression", {"prediction": 2.5, "confidence": 0.5}, one(value=2.5, score=0.5)),
    ("regression", {"prediction": NAN, "score": 0.5}, one(score=0.5)),
    ("regression", NAN, one()),
    ("other", 3, one(value=3.0)),
    ("other", 0.5, one(value=0.5)),
    ("other", "x", one("x")),
    ("other", True, one("True")),
    ("ranking", 0.5, one(value=0.5)),
]


@pytest.mark.parametrize(("task", "result", "expected"), SINGLE)
def test_a_single_output(task, result, expected):
    """One prediction's class, value and score are read by the rules of its task."""
    assert read(result, task, classes=ABC if task == "multiclass" else None) == expected


NOT_UNDERSTOOD = [
    ("binary", None),
    ("binary", 3.2),
    ("binary", -0.5),
    ("binary", object()),
    ("binary", {}),
    ("binary", {"a": 1, "b": 2}),
    ("binary", {"prediction": None}),
    ("binary", {"prediction": object()}),
    ("binary", {1: 2}),
    ("binary", []),
    ("binary", [0, 1, 1]),
    ("binary", [1, 0]),
    ("binary", [0.1, 0.5]),
    ("binary", [0.2, 0.3, 0.5]),
    ("binary", np.zeros((2, 3, 4))),
    ("binary", np.array([[0.1, 0.9]] * 3)),
    ("binary", Tensor([0.5], device="cuda")),
    ("binary", Anything()),
    ("binary", Answer),
    ("binary", (1, 7.5)),
    ("binary", 1j),
    ("binary", ValueError("x")),
    ("multiclass", 2.5),
    ("multiclass", [7.1, -3.0, 0.2]),
    ("regression", "x"),
    ("regression", (1, 0.9)),
    ("regression", [1.0, 2.0]),
    ("other", [1.0, 2.0]),
    ("multilabel", [["a"], ["b"]]),
    ("multilabel", [1, 0, 1]),
    ("multilabel", [0.9, 0.2]),
    ("multilabel", ["a", None]),
    ("multilabel", 0.5),
    ("ranking", [0.9, 0.2]),
]


@pytest.mark.parametrize(("task", "result"), NOT_UNDERSTOOD)
def test_an_unrecognised_result_is_none(task, result):
    """An ambiguous or unknown result has no output."""
    assert read(result, task) is None


def many(classes=None, values=None, scores=None):
    rows = len(classes or values or scores)
    nothing = [None] * rows
    return Output(rows, classes or nothing, values or nothing, scores or nothing)


BATCHES = [
    ("binary", [0, 1, 1], many(["0", "1", "1"])),
    ("binary", np.array([0, 1, 1]), many(["0", "1", "1"])),
    ("binary", pd.Series([0, 1, 1], index=[7, 8, 9]), many(["0", "1", "1"])),
    ("binary", pa.array([0, 1, 1]), many(["0", "1", "1"])),
    ("binary", Tensor([0, 1, 1]), many(["0", "1", "1"])),
    ("binary", ["no", None, "yes"], many(["no", None, "yes"])),
    ("binary", np.array([0.1, 0.5, 0.9]), many(scores=[0.1, 0.5, 0.9])),
    ("binary", np.array([[0.1], [0.5], [0.9]]), many(scores=[0.1, 0.5, 0.9])),
    ("binary", np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]), many(scores=[0.1, 0.5, 0.9])),
    ("binary", [(0, 0.1), (1, 0.5), (1, 0.9)], many(["0", "1", "1"], scores=[0.1, 0.5, 0.9])),
    ("binary", (np.array([0, 1, 1]), np.array([0.1, 0.5, 0.9])), many(["0", "1", "1"], scores=[0.1, 0.5, 0.9])),
    ("binary", [Answer(0, 0.1), Answer(1, 0.5), Answer(1, 0.9)], many(["0", "1", "1"], scores=[0.1, 0.5, 0.9])),
    ("binary", {"prediction": [0, 1, 1], "score": (0.1, 0.5, 0.9)}, many(["0", "1", "1"], scores=[0.1, 0.5, 0.9])),
    ("binary", {"predictions": [0, 1, 1], "scores": [0.1, 0.5]}, many(["0", "1", "1"])),
    ("binary", {"probabilities": [0.1, 0.5, 0.9]}, many(scores=[0.1, 0.5, 0.9])),
    (
        "binary",
        {"labels": ["a", "b", "a"], "confidences": [0.1, 0.5, 0.9]},
        many(["a", "b", "a"], scores=[0.1, 0.5, 0.9]),
    ),
    (
        "binary",
        pd.DataFrame({"label": [0, 1, 1], "score": [0.1, 0.5, 0.9]}),
        many(["0", "1", "1"], scores=[0.1, 0.5, 0.9]),
    ),
    ("binary", pa.table({"label": [0, 1, 1]}), many(["0", "1", "1"])),
    ("binary", [0, object(), 1], many(["0", None, "1"])),
    (
        "multiclass",
        np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]),
        many(["a", "b", "c"], scores=[0.8, 0.8, 0.6]),
    ),
    ("multiclass", [1.0, 2.0, 2.5], many(["1", "2", None])),
    ("regression", np.array([1.5, NAN, 2.5]), many(values=[1.5, None, 2.5])),
    ("regression", np.array([NAN, NAN, NAN]), many(values=[None] * 3)),
    ("regression", np.array([[1.5], [2.5], [3.5]]), many(values=[1.5, 2.5, 3.5])),
    ("other", [1, "x", True], many([None, "x", "True"], values=[1.0, None, None])),
]


@pytest.mark.parametrize(("task", "result", "expected"), BATCHES)
@pytest.mark.parametrize(("batch", "rows"), [(True, None), (False, 3)])
def test_a_batch(task, result, expected, batch, rows):
    """A sequence is a batch when declared so, or when it is as long as the input."""
    assert read(result, task, classes=ABC if task == "multiclass" else None, batch=batch, rows=rows) == expected


def test_a_sequence_of_another_length_is_not_a_batch():
    """It is neither declared as one nor as long as the input."""
    assert (read([0, 1, 1], rows=2), read([0, 1, 1], rows=None)) == (None, None)


def test_two_rows_are_not_a_pair():
    """In a batch of two a pair is two rows."""
    expected = Output(2, [None, None], [None, None], [0.9, 0.2])
    assert read(((0.1, 0.9), (0.8, 0.2)), rows=2) == expected


def test_an_empty_batch_has_no_rows():
    """An empty sequence is a batch of no rows."""
    assert (read([], batch=True), read(np.array([]), rows=0)) == (Output(0, [], [], []), Output(0, [], [], []))


def test_a_batch_of_unrecognised_rows_is_none():
    """If no row is recognised, the batch is not."""
    assert read([object(), None], batch=True) is None


def test_a_fraction_is_a_class_only_when_declared():
    """0.5 names a class of a model that declares it."""
    result = {"prediction": 0.5, "probability": 0.9}
    assert (read(result), read(result, classes=("0.5", "1"))) == (one(score=0.9), one("0.5", score=0.9))


def test_a_margin_is_a_score_that_is_not_measured():
    """A finite number outside 0..1 named as a score is kept for the event, and stays out of the histogram."""
    output = read({"prediction": 1, "score": 7.5})

    assert (output, output.measured_scores(), output.omissions) == (one("1", score=7.5), [], {"score": 1})


def test_very_long_batches_are_bounded():
    """Beyond 100,000 rows outputs are read in slices."""
    output = read(range(200_000), "regression", batch=True)
    assert (output.rows, len(output.values)) == (200_000, _outputs.OUTPUT_LIMIT)


def test_the_result_stays_untouched():
    """A result is the same after it was read, and an iterator is not consumed."""
    result = {"prediction": [1, 0], "scores": np.array([0.9, 0.1]), "more": {"x": 1}}
    before = copy.deepcopy(result)
    steps = iter([1, 2, 3])
    assert (read(result, batch=True).rows, read(steps, batch=True), list(steps)) == (2, None, [1, 2, 3])
    assert str(result) == str(before)


GIVEN = [
    ("binary", {"prediction": 1, "score": 0.93}, False, one("1", score=0.93)),
    ("binary", {"prediction": np.int64(1)}, False, one("1")),
    ("binary", {"score": 0.93}, False, one(score=0.93)),
    ("binary", {"prediction": 0.93}, False, one(score=0.93)),
    ("regression", {"prediction": 2.5}, False, one(value=2.5)),
    ("multiclass", {"score": [0.1, 0.2, 0.7]}, False, one("c", score=0.7)),
    ("binary", {"prediction": [1, 0], "score": [0.9, 0.1]}, True, many(["1", "0"], scores=[0.9, 0.1])),
    ("binary", {"score": np.array([0.9, 0.1])}, True, many(scores=[0.9, 0.1])),
    ("regression", {"prediction": np.array([2.5, 1.5])}, True, many(values=[2.5, 1.5])),
    ("binary", {"prediction": 1, "score": 0.93}, True, one("1", score=0.93)),
    ("binary", {}, False, None),
    ("binary", {"prediction": object()}, False, None),
    ("binary", {"prediction": [1, 0]}, False, None),
]


@pytest.mark.parametrize(("task", "arguments", "batch", "expected"), GIVEN)
def test_given_outputs(task, arguments, batch, expected):
    """Outputs passed by the caller follow the same rules, arrays with batch=True."""
    assert given(**arguments, task=task, classes=ABC if task == "multiclass" else None, batch=batch) == expected
