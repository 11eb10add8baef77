"""A column of a batch is counted like its values one by one, in any library and type.

Sources: whylabs/whylogs#1093 (a column of dtype category breaks logging); evidentlyai/evidently#1616 (`pd.NA` in a text column);
Data-Centric-AI-Community/fg-data-profiling#523 and #587, capitalone/DataProfiler#1075 (nullable whole numbers);
tensorflow/data-validation#95 (a column that is missing as a whole); capitalone/datacompy#391 (categories of polars).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

ROWS = 130
CATEGORIES = [*"abcdefgh", "Zürich ", "x" * 200]
MISSING, INFINITE = float("nan"), float("inf")
NEVER = object()
"""Stands for a column without missing values."""


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


@pytest.fixture(scope="module")
def profile() -> otel_ml.ReferenceProfile:
    """Columns of each kind: `number`, `text`, `code`, `flag`, `rate` and `secret`, which is sensitive."""
    drawn = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "number": drawn.normal(size=3000),
            "text": drawn.choice(CATEGORIES, 3000),
            "code": drawn.integers(0, 5, 3000),
            "flag": drawn.random(3000) < 0.5,
            "rate": np.round(drawn.integers(1, 9, 3000) * 0.1, 1),
            "secret": drawn.choice(["canary-a", "canary-b"], 3000),
        }
    )
    return otel_ml.ReferenceProfile.fit(frame, sensitive=("secret",))


def values(name: str, *, missing: Any = None) -> list[Any]:
    """Returns plain values of a column: usual ones, missing ones, and some that the reference does not have."""
    draw = random.Random(name)
    pools: dict[str, list[Any]] = {
        "number": [draw.gauss(0, 1) for _ in range(200)] + [-90.0, 90.0, 0.0, -0.0],
        "text": [*CATEGORIES, "unseen", "", "x" * 129],
        "code": [0, 1, 2, 3, 4, 77],
        "flag": [True, False],
        "rate": [0.1, 0.2, 0.3, 0.7, 0.30000000000000004, 12.5],
        "secret": ["canary-a", "canary-b", "canary-c"],
    }
    found = [draw.choice(pools[name]) for _ in range(ROWS)]
    return [missing if draw.random() < 0.1 else value for value in found] if missing is not NEVER else found


def counts(kit: InMemoryTelemetry) -> Any:
    """Returns what was counted in bins and against rules, but zeros."""
    metrics = kit.metrics()
    names = ("ml.feature.values", "ml.feature.missing", "ml.data.violations", "ml.data.invalid_predictions")
    keys = ("ml.feature.name", "ml.feature.bin", "ml.rule.name")
    return {
        name: {
            tuple(point["attributes"].get(key) for key in keys): point["value"]
            for point in metrics.get(name, [])
            if point["value"] and point["attributes"]["ml.model.name"] == "m"
        }
        for name in names
    }


def compare(profile: otel_ml.ReferenceProfile, batch: Any, rows: list[dict[str, Any]], mode: Any = "own") -> Any:
    """Asserts that the batch counts as its rows; returns the counts."""
    with InMemoryTelemetry(mode) as kit:
        otel_ml.Model("m", profile=profile).record(batch, prediction=np.ones(len(rows), int), batch=True)
        by_column = counts(kit)
        leaves = str((kit.spans(), kit.logs(), kit.metrics()))
    with InMemoryTelemetry(mode) as kit:
        model = otel_ml.Model("m", profile=profile)
        for row in rows:
            model.record(row, prediction=1)
        one_by_one = counts(kit)
    assert by_column == one_by_one
    assert "canary" not in leaves
    return by_column


def pandas_series(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda given: pd.Series(given, dtype=dtype)


COLUMNS: list[tuple[str, str, Callable[[list[Any]], Any], Any]] = [
    *(("number", f"pandas {kind}", pandas_series(kind), None) for kind in ("float64", "float32", "Float64", "object")),
    ("number", "pandas double[pyarrow]", pandas_series("double[pyarrow]"), None),
    ("number", "pandas sparse", lambda given: pd.Series(pd.arrays.SparseArray(given, fill_value=0.0)), MISSING),
    ("number", "infinite", lambda given: pd.Series(given, dtype="float64"), INFINITE),
    ("number", "list with infinity", list, -INFINITE),
    ("number", "list", list, None),
    ("number", "text among numbers", list, "n/a"),
    ("number", "whole numbers", lambda given: [round(value) for value in given], NEVER),
    ("number", "tuple", tuple, MISSING),
    ("number", "numpy float16", lambda given: np.array(given, dtype=np.float16), MISSING),
    ("number", "numpy strided", lambda given: np.repeat(np.array(given), 3)[::3], MISSING),
    ("number", "arrow", lambda given: pa.array(given), None),
    ("number", "arrow chunks", lambda given: pa.chunked_array([given[:99], given[99:]]), None),
    ("number", "polars", lambda given: pl.Series(given), None),
    *(
        ("text", f"pandas {kind}", pandas_series(kind), None)
        for kind in ("str", "object", "category", "string[python]")
    ),
    ("text", "pandas string[pyarrow]", pandas_series("string[pyarrow]"), None),
    ("text", "pandas object with NaN", pandas_series("object"), MISSING),
    ("text", "pandas object with NA", pandas_series("object"), pd.NA),
    ("text", "numbers among texts", pandas_series("object"), 3.5),
    ("text", "numpy", lambda given: np.array(given), NEVER),
    ("text", "arrow", lambda given: pa.array(given), None),
    ("text", "arrow large", lambda given: pa.array(given, pa.large_string()), None),
    ("text", "arrow dictionary", lambda given: pa.array(given).dictionary_encode(), None),
    (
        "text",
        "arrow dictionaries in chunks",
        lambda given: pa.chunked_array([pa.array(part).dictionary_encode() for part in (given[:99], given[99:])]),
        None,
    ),
    ("text", "polars", lambda given: pl.Series(given), None),
    ("text", "polars categories", lambda given: pl.Series(given, dtype=pl.Categorical), None),
    ("text", "list", list, None),
    *(("code", f"pandas {kind}", pandas_series(kind), None) for kind in ("Int64", "float64", "object", "category")),
    ("code", "pandas int64[pyarrow]", pandas_series("int64[pyarrow]"), None),
    ("code", "numpy int8", lambda given: np.array(given, dtype=np.int8), NEVER),
    ("code", "numpy uint64", lambda given: np.array(given, dtype=np.uint64), NEVER),
    ("code", "numpy huge", lambda given: np.array([value + 2**62 for value in given]), NEVER),
    ("code", "arrow", lambda given: pa.array(given), None),
    ("code", "polars", lambda given: pl.Series(given), None),
    ("code", "texts", lambda given: [None if value is None else f"{value}" for value in given], None),
    ("code", "list", list, None),
    *(("flag", f"pandas {kind}", pandas_series(kind), None) for kind in ("boolean", "object", "bool[pyarrow]")),
    ("flag", "numpy", lambda given: np.array(given), NEVER),
    ("flag", "arrow", lambda given: pa.array(given), None),
    ("flag", "polars", lambda given: pl.Series(given), None),
    ("flag", "zero and one", lambda given: np.array(given, dtype=int), NEVER),
    *(("rate", f"pandas {kind}", pandas_series(kind), None) for kind in ("float64", "float32", "Float64")),
    ("rate", "arrow float32", lambda given: pa.array(given, pa.float32()), None),
    ("rate", "polars", lambda given: pl.Series(given), None),
    ("rate", "list", list, None),
    *(("secret", f"pandas {kind}", pandas_series(kind), None) for kind in ("str", "object", "category")),
    ("secret", "polars", lambda given: pl.Series(given), None),
    ("secret", "arrow", lambda given: pa.array(given), None),
]


def plain_rows(name: str, column: Any) -> list[dict[str, Any]]:
    """Returns the rows as the library itself hands out their values."""
    items = column.to_pylist() if isinstance(column, (pa.Array, pa.ChunkedArray)) else list(column)
    return [{name: item} for item in items]


def frame_of(name: str, column: Any) -> Any:
    if isinstance(column, pd.Series):
        return column.to_frame(name)
    if isinstance(column, pl.Series):
        return pl.DataFrame({name: column})
    return pa.table({name: column}) if isinstance(column, (pa.Array, pa.ChunkedArray)) else {name: column}


@pytest.mark.parametrize(
    ("name", "what", "make", "missing"), COLUMNS, ids=[f"{each[0]}: {each[1]}" for each in COLUMNS]
)
def test_a_column_counts_as_its_values(
    profile: otel_ml.ReferenceProfile, name: str, what: str, make: Callable[[list[Any]], Any], missing: Any
) -> None:
    """Bins, missing values, violations and invalid rows are those of the values one by one."""
    column = make(values(name, missing=missing))
    found = compare(profile, frame_of(name, column), plain_rows(name, column))

    in_bins = sum(count for key, count in found["ml.feature.values"].items() if key[0] == name)
    assert in_bins or what in {"numpy huge", "texts"}


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table, dict], ids=["pandas", "polars", "arrow", "dict"]
)
def test_frames_of_all_libraries_count_alike(profile: otel_ml.ReferenceProfile, make: Any) -> None:
    """Columns of all kinds side by side, with missing values."""
    columns = {name: values(name) for name in ("number", "text", "code", "flag", "rate", "secret")}
    frame = make(columns)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    found = compare(profile, frame, rows)
    assert found["ml.data.invalid_predictions"]


def test_a_column_that_is_missing_as_a_whole(profile: otel_ml.ReferenceProfile) -> None:
    """Each library has a type for nothing at all."""
    empty = [{"text": None, "number": None}] * ROWS
    for frame in (
        pd.DataFrame({"text": [None] * ROWS, "number": [None] * ROWS}),
        pl.DataFrame({"text": [None] * ROWS, "number": [None] * ROWS}),
        pa.table({"text": pa.nulls(ROWS), "number": pa.nulls(ROWS)}),
    ):
        found = compare(profile, frame, empty)
        assert found["ml.feature.missing"][("text", None, None)] == ROWS


def test_values_that_cannot_be_read_are_not_missing(profile: otel_ml.ReferenceProfile) -> None:
    """Objects, bytes, dates and lists among the texts of a column are counted as in a single row."""
    odd = [object(), b"bytes", pd.Timestamp("2026-01-01"), ["a", "b"], {"a": 1}, 2**70, 1j, "a"]
    usual = {"number": 0.5, "code": 1, "flag": True, "rate": 0.1, "secret": "canary-a"}
    rows = [{"text": odd[index % len(odd)], **usual} for index in range(ROWS)]
    frame = pd.DataFrame(rows)

    compare(profile, frame, rows)


def test_a_job_that_is_faster_than_the_worker_loses_no_count(profile: otel_ml.ReferenceProfile) -> None:
    """A full queue costs events, which is counted; bins of features and outputs have every row."""
    numbers = np.linspace(-3, 3, 1000)
    scored = otel_ml.ReferenceProfile.fit(
        pd.DataFrame({"x": numbers, "score": np.linspace(0.001, 0.999, 1000)}), score="score"
    )
    with InMemoryTelemetry(queue_size=1) as kit:
        model = otel_ml.Model("m", profile=scored, task="binary", classes=[0, 1])
        for _ in range(60):
            model.record(
                pd.DataFrame({"x": numbers}), prediction=np.ones(1000, int), score=np.full(1000, 0.7), batch=True
            )
        found = counts(kit)["ml.feature.values"]

    assert sum(count for key, count in found.items() if key[0] == "x") == 60_000
    assert sum(count for key, count in found.items() if key[0] == "__prediction__") == 60_000


def test_what_the_caller_changes_afterwards_does_not_count(kit: InMemoryTelemetry) -> None:
    """The caller reuses the memory of a batch; counts and the event are those of the call."""
    numbers = np.linspace(-3, 3, 1000)
    profile = otel_ml.ReferenceProfile.fit(pd.DataFrame({"x": numbers}))
    block = np.full((200, 1), 0.5)
    outputs = np.zeros(200, int)

    with otel_ml.Model("m", profile=profile, capture_features="all").prediction(block) as prediction:
        block[:] = 99.0
        prediction.set_output(outputs, batch=True)
        outputs[:] = 7
    block[:] = 98.0
    (event,) = kit.events("ml.prediction")

    assert [count for key, count in counts(kit)["ml.feature.values"].items() if key[0] == "x"] == [200]
    assert '{"x":0.5}' in event["body"]
    assert ":99.0" not in event["body"]
    assert '"prediction":0.0' in event["body"]
