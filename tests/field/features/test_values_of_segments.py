"""A value belongs to one segment, however its row came, and what callers send does not stay in memory.

Sources: opendp/tumult-analytics#111 (rows cannot be grouped by timestamps), Martlark/flask-serialize#3 (UUID columns fail),
cyanheads/mcp-ts-core#114 and apache/shenyu#6671 (each value that a caller sends stays in memory).
"""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import tracemalloc
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from otel_ml import Model
from otel_ml.testing import InMemoryTelemetry

DAY = dt.date(2026, 3, 1)
MOMENT = dt.datetime(2026, 3, 1, 8, 30)  # noqa: DTZ001 - columns of dates rarely have a time zone
TENANT = uuid.UUID(int=7)
VALUES = [DAY, MOMENT, pd.Timestamp(MOMENT), np.datetime64(MOMENT), dt.timedelta(hours=1), TENANT, decimal.Decimal(2)]
UNREADABLE = [bytearray(b"north"), ipaddress.ip_address("10.0.0.1"), complex(1, 2), 10**400]


@pytest.fixture(params=["own", "guest"])
def kit(request: Any) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as found:
        yield found


def model(name: str, **declared: Any) -> Model:
    return Model(name, task="binary", classes=[0, 1], **{"segments": ("by",)} | declared)


def one(features: Any) -> Any:
    return {"prediction": 1, "probability": 0.9}


def many(features: Any) -> Any:
    return {"prediction": [1] * 80, "probability": [0.9] * 80}


def segments(kit: InMemoryTelemetry, name: str) -> dict[str, int]:
    """Predictions by segment of one model."""
    points = [p for p in kit.metrics()["ml.segment.predictions"] if p["attributes"]["ml.model.name"] == name]
    return {p["attributes"]["ml.segment.value"]: p["value"] for p in points if p["value"]}


@pytest.mark.parametrize("value", [*VALUES, *UNREADABLE], ids=lambda value: type(value).__name__)
def test_a_value_has_one_segment_in_a_row_and_in_a_batch(kit: InMemoryTelemetry, value: Any) -> None:
    """Dates and UUIDs are their texts; what cannot be read is there, so that it is not missing."""
    model("row").track(one)({"by": value, "age": 3})
    batch = model("batch", batch=True).track(many)
    batch([{"by": value, "age": 3}] * 80)
    batch(pd.DataFrame({"by": pd.Series([value] * 80, dtype=object)}))
    batch({"by": [value] * 80, "age": [3] * 80})

    (segment,) = segments(kit, "row")

    assert segments(kit, "batch") == {segment: 240}
    assert (segment == "__other__") == any(value is each for each in UNREADABLE)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_columns_of_dates_are_segments(kit: InMemoryTelemetry, frame: Any) -> None:
    """A column of a library's own type of date has the segments of its rows; a closed set may hold dates."""
    days = {"by": [DAY, dt.date(2026, 3, 2)] * 40}
    batch = model("days", segments={"by": (DAY,)}, batch=True).track(many)
    batch(frame(days))

    assert segments(kit, "days") == {"2026-03-01": 40, "__other__": 40}


def test_long_values_do_not_stay_in_memory(telemetry: InMemoryTelemetry) -> None:
    """A text or a number of any length is counted, and no copy of it is kept."""
    predict = model("long").track(one)
    predict({"by": "a", "age": 1})
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(40):
            predict({"by": f"{number}" * 100_000, "age": 1})
            predict({"by": 10 ** (100_000 + number), "age": 1})
        telemetry.flush()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 1_000_000
    assert sum(segments(telemetry, "long").values()) == 81
