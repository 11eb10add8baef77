"""Segments lose no row and mix up no values: reports about profiles and metrics by segment.

Sources: whylabs/whylogs#1300, whylabs/whylogs#501, whylabs/whylogs#846, fairlearn/fairlearn#1155.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


class Region(str, enum.Enum):
    NORTH = "north"


class Floor(enum.IntEnum):
    FIRST = 1


def by_segment(kit: InMemoryTelemetry, column: str) -> dict[str, float]:
    return {
        point["attributes"]["ml.segment.value"]: point["value"]
        for point in kit.metrics()["ml.segment.predictions"]
        if point["attributes"]["ml.segment.name"] == column
    }


def predict_all(features: Any) -> list[float]:
    return [1.0] * len(features)


@pytest.mark.parametrize(
    ("column", "segments"),
    [
        ([True, True, None, None], {"True": 2, "__missing__": 2}),
        (pd.array([True, True, None, False], dtype="boolean"), {"True": 2, "False": 1, "__missing__": 1}),
        (pd.Categorical(["cats", "dogs", None, "dogs"]), {"cats": 1, "dogs": 2, "__missing__": 1}),
        ([1, 2, None, 2], {"1": 1, "2": 2, "__missing__": 1}),
        (pl.Series(["cats", None, "dogs", "dogs"], dtype=pl.Categorical), {"cats": 1, "dogs": 2, "__missing__": 1}),
        (
            pa.array(["cats", None, "dogs", "dogs"]).dictionary_encode(),
            {"cats": 1, "dogs": 2, "__missing__": 1},
        ),
    ],
    ids=["object", "boolean", "category", "float", "polars", "arrow"],
)
def test_missing_values_are_a_segment_of_their_own(
    telemetry: InMemoryTelemetry, column: Any, segments: dict[str, float]
) -> None:
    """Rows without a value count (fairlearn#1155, whylogs#1300), and a category is its whole text (whylogs#501)."""
    kind = {pl.Series: pl.DataFrame, pa.DictionaryArray: pa.table}.get(type(column), pd.DataFrame)
    model = otel_ml.Model("m", task="regression", segments=("code", "kind"))
    model.track(predict_all)(kind({"code": [1, 2, 3, 4], "kind": column}))

    assert by_segment(telemetry, "kind") == segments
    assert by_segment(telemetry, "code") == {"1": 1, "2": 1, "3": 1, "4": 1}  # not those of the other column


@pytest.mark.parametrize(
    ("values", "segment"),
    [
        (("north", Region.NORTH, np.str_("north"), b"north", " north "), "north"),
        ((1, 1.0, Floor.FIRST, np.int64(1), decimal.Decimal("1.0"), "1"), "1"),
        ((dt.date(2026, 1, 1), "2026-01-01"), "2026-01-01"),
        ((None, float("nan"), pd.NaT, pd.NA, ""), "__missing__"),
    ],
)
def test_one_value_in_many_types_is_one_segment(
    telemetry: InMemoryTelemetry, values: tuple[Any, ...], segment: str
) -> None:
    """A request, a frame and a job give the same value in different types."""
    predict = otel_ml.Model("m", task="regression", segments=("region",)).track(lambda features: 1.5)
    for value in values:
        predict({"region": value})

    assert by_segment(telemetry, "region") == {segment: len(values)}


def positional(region, amount):
    return 1.5


def only(region):
    return 1.5


def annotated(region: str, amount: float) -> float:
    return 1.5


@pytest.mark.parametrize("function", [positional, only, annotated])
def test_a_parameter_can_be_a_segment_column(telemetry: InMemoryTelemetry, function: Callable[..., Any]) -> None:
    """A function that takes its features one by one needs neither a profile nor annotations."""
    predict = otel_ml.Model("m", task="regression", segments=("region",)).track(function)
    further = {} if function is only else {"amount": 2.0}
    predict("north", **further)
    predict(region="south", **further)

    assert by_segment(telemetry, "region") == {"north": 1, "south": 1}


def test_too_many_values_are_said_once(telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture) -> None:
    """A column of numbers or ids has no useful segments; the line says what to do and names no value."""
    predict = otel_ml.Model("m", task="regression", segments=("amount",)).track(lambda features: 1.5)
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for number in range(40):
            predict({"amount": 900 + number})

    [line] = [record.getMessage() for record in caplog.records if "segment column" in record.getMessage()]
    assert "'amount' has more than 12 values" in line
    assert "912" not in line
    assert by_segment(telemetry, "amount")["__other__"] == 28
