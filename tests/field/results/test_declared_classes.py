"""A predicted class is the declared one that it equals, however the model writes it; any other is named in a line.

Sources: TimeEval/TimeEval#74 (`scores > threshold` is an array of booleans), augerai/a2ml#213 (a service answers the texts
"True" and "False"), evidentlyai/evidently#1456 (labels are booleans, classes are 0 and 1).
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import otel_ml
from otel_ml.prediction.binding._metric_attributes import DeclaredLabels
from otel_ml.testing import InMemoryTelemetry

ROW = {"a": 1.0}


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param, events="all") as telemetry:
        yield telemetry


def counts(kit: InMemoryTelemetry) -> dict[str, int]:
    points = kit.metrics()["ml.predictions"]
    return {point["attributes"]["ml.prediction.class"]: point["value"] for point in points if point["value"]}


@pytest.mark.parametrize(
    ("classes", "result", "name"),
    [
        ([0, 1], True, "1"),
        (["0", "1"], np.True_, "1"),
        ([0, 1], {"prediction": False, "probability": 0.1}, "0"),
        ([0, 1], "True", "1"),
        (["0", "1"], "1.0", "1"),
        ([False, True], 1, "True"),
        (["no", "yes"], "yes", "yes"),
    ],
)
def test_a_class_in_another_spelling(kit: InMemoryTelemetry, classes: list[Any], result: Any, name: str) -> None:
    """A boolean or a number counts as the declared class that it equals."""
    model = otel_ml.Model("m", task="binary", classes=classes)
    model.track(lambda features: result)(ROW)
    assert counts(kit) == {name: 1}


@pytest.mark.parametrize(
    "make", [list, np.array, pd.Series, pl.Series, lambda values: pd.array(values, dtype="boolean")]
)
def test_a_batch_of_booleans(kit: InMemoryTelemetry, make: Any) -> None:
    """The rows of a batch count as the classes 0 and 1 that their booleans equal."""
    model = otel_ml.Model("m", task="binary", classes=[0, 1])
    model.record([ROW] * 3, prediction=make([True, False, True]), batch=True)
    assert counts(kit) == {"0": 1, "1": 2}


def test_a_class_that_is_not_declared(kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture) -> None:
    """Other classes are counted together, and one line names the first of them and the declared ones."""
    model = otel_ml.Model("fraud", task="binary", classes=["no", "yes"])
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for result in (1, 0, "maybe", "yes"):
            model.track(lambda features, result=result: result)(ROW)
    assert counts(kit) == {"__other__": 3, "yes": 1}
    lines = [line for line in caplog.messages if "predicted class" in line]
    assert len(lines) == 1
    assert "the predicted class '1' is not a declared class of model 'fraud' (no, yes)" in lines[0]


def test_more_declared_classes_than_are_counted(kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A declared class beyond the bound, in any spelling, is counted with the others, and is not called undeclared."""
    model = otel_ml.Model("m", task="multiclass", classes=[*(f"c{number}" for number in range(100)), 1])
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for result in ("c99", 1, True):
            model.track(lambda features, result=result: result)(ROW)
    assert counts(kit) == {"__other__": 2, "c99": 1}
    assert not [line for line in caplog.messages if "predicted class" in line]


@pytest.mark.parametrize("value", ["c9999", "unknown", "7.5"])
def test_a_class_beyond_the_bound_is_found_without_a_search(value: str) -> None:
    """A predicted class is not compared with each of thousands of declared ones: that is done on the caller's thread."""
    compared: list[object] = []

    class Declared(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared.append(other)
            return str.__eq__(self, other)

    labels = DeclaredLabels("m", tuple(Declared(f"c{number}") for number in range(10_000)))
    compared.clear()
    assert labels.admit(value) == "__other__"
    assert len(compared) < 10
