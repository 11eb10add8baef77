"""Predictions, errors, durations, scores and missing values are counted by segment, in both modes and on every path."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

import otel_ml
from otel_ml import _guard
from otel_ml._telemetry import ports
from otel_ml.cli._doctor.series import _SEGMENT_SERIES
from otel_ml.quality import Column
from otel_ml.testing import InMemoryTelemetry

ROWS = [
    {"region": "north", "device": "phone", "age": 30},
    {"region": "north", "device": "tablet", "age": 40},
    {"region": "south", "device": "phone", "age": 50},
]


@pytest.fixture(params=["own", "guest"])
def kit(request: Any) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as found:
        yield found
        assert found.internal_errors_expected or not _guard.counts()


def model_with(**declared: Any) -> otel_ml.Model:
    return otel_ml.Model("m", **{"task": "binary", "classes": [0, 1], "segments": ("region", "device")} | declared)


def counted(kit: InMemoryTelemetry, metric: str) -> dict[tuple[str, ...], float]:
    """The values of a metric, or the counts of a histogram, by column, segment and class."""
    return {
        tuple(
            point["attributes"][name]
            for name in ("ml.segment.name", "ml.segment.value", "ml.prediction.class")
            if name in point["attributes"]
        ): point.get("value", point.get("count"))
        for point in kit.metrics().get(metric, [])
    }


def predictions(kit: InMemoryTelemetry, column: str) -> dict[str, float]:
    """Predictions of all classes by segment of one column, without those of which there are none."""
    sums: dict[str, float] = {}
    for (name, value, *_), count in counted(kit, "ml.segment.predictions").items():
        if name == column and count:
            sums[value] = sums.get(value, 0) + count
    return sums


def fast(features: Any) -> Any:
    return {"prediction": 1, "probability": 0.93}


def general(features: Any) -> Any:
    return (1, 0.93)


@pytest.mark.parametrize("function", [fast, general])
def test_each_column_is_counted_by_itself(kit: InMemoryTelemetry, function: Callable[[Any], Any]) -> None:
    """Each segment has its predictions, also of classes that have none yet, its errors, durations and scores."""
    predict = model_with().track(function)
    for row in ROWS:
        predict(row)

    assert counted(kit, "ml.segment.predictions") == {
        ("region", "north", "1"): 2,
        ("region", "north", "0"): 0,
        ("region", "south", "1"): 1,
        ("region", "south", "0"): 0,
        ("device", "phone", "1"): 2,
        ("device", "phone", "0"): 0,
        ("device", "tablet", "1"): 1,
        ("device", "tablet", "0"): 0,
    }
    single = {("region", "north"): 2, ("region", "south"): 1, ("device", "phone"): 2, ("device", "tablet"): 1}
    assert counted(kit, "ml.segment.duration") == counted(kit, "ml.segment.score") == single
    assert counted(kit, "ml.segment.errors") == dict.fromkeys(single, 0)
    score = kit.metrics()["ml.segment.score"][0]
    assert (score["bounds"], score["counts"][-1]) == ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], score["count"])
    assert kit.metrics()["ml.segment.duration"][0]["bounds"] == [0.005, 0.025, 0.1, 0.5, 2.5]


def test_tasks_without_two_classes_count_without_class(kit: InMemoryTelemetry) -> None:
    """Only of a binary model predictions are counted by class and segment."""
    model_with(task="multiclass", classes=["a", "b", "c"]).track(lambda features: "a")(ROWS[0])
    model_with(task="regression", classes=None).track(lambda features: 1.5)(ROWS[0])
    model_with(task="multiclass", classes=["1", "2", "3"]).track(fast)(ROWS[0])

    assert counted(kit, "ml.segment.predictions") == {("region", "north"): 3, ("device", "phone"): 3}


class Request(pydantic.BaseModel):
    region: str
    device: str | None = None


@dataclass
class Item:
    region: str


@pytest.mark.parametrize(
    ("features", "segments"),
    [
        ({"Region": "north", "DEVICE": "phone"}, ("north", "phone")),
        ({"customer": {"region": "north"}, "device": "phone"}, ("north", "phone")),
        ({"instances": [{"region": "north", "device": "phone"}]}, ("north", "phone")),
        (Request(region="north"), ("north", "__missing__")),
        (Item("north"), ("north", "__missing__")),
        (pd.Series({"region": "north", "device": "phone"}), ("north", "phone")),
        (pd.DataFrame({"region": ["north"], "device": ["phone"]}), ("north", "phone")),
        ({"region": "north", "device": float("nan")}, ("north", "__missing__")),
        ({"region": ["north"], "device": {"a": 1}}, ("__other__", "__other__")),
        ({"age": 1}, ("__missing__", "__missing__")),
        (None, ("__missing__", "__missing__")),
        ("north", ("__missing__", "__missing__")),
    ],
)
@pytest.mark.parametrize("function", [fast, general])
def test_the_columns_are_found_as_others_are(
    kit: InMemoryTelemetry, function: Callable[[Any], Any], features: Any, segments: tuple[str, str]
) -> None:
    """A segment column may have another spelling or lie deeper, in whatever form the features come."""
    predict = model_with().track(function, features="features")
    for _ in range(2):  # the second time what was found is remembered
        predict(features)

    assert (predictions(kit, "region"), predictions(kit, "device")) == ({segments[0]: 2}, {segments[1]: 2})


TABLE = {"region": ["north", "south", None] * 40, "device": ["phone", "tablet"] * 60}


@pytest.mark.parametrize(
    "features",
    [
        pd.DataFrame(TABLE),
        pl.DataFrame(TABLE),
        pa.table(TABLE),
        TABLE,
        [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)],
        [{"customer": dict(zip(TABLE, row, strict=True))} for row in zip(*TABLE.values(), strict=True)],
        np.array(list(zip(*TABLE.values(), strict=True)), dtype=[("region", object), ("device", object)]),
    ],
    ids=["pandas", "polars", "arrow", "columns", "rows", "nested", "structured"],
)
def test_each_row_of_a_batch_has_its_segments(kit: InMemoryTelemetry, features: Any) -> None:
    """Rows are counted by the columns of the batch; its duration is that of no single row."""
    model_with().track(lambda rows: [0, 1] * 60)(features)

    assert predictions(kit, "region") == {"north": 40, "south": 40, "__missing__": 40}
    assert counted(kit, "ml.segment.predictions")["device", "tablet", "1"] == 60
    assert counted(kit, "ml.segment.duration") == {}


def test_values_without_names_are_those_of_the_profile(kit: InMemoryTelemetry) -> None:
    """An array has the columns of the profile in its order."""
    profile = otel_ml.ReferenceProfile.fit(
        {"age": [*range(30), *range(30)], "floor": [1, 2] * 30}, categorical=("floor",)
    )
    model = model_with(segments=("floor",), profile=profile)
    model.track(lambda rows: [0, 1, 1])(np.array([[30.0, 1.0], [40.0, 2.0], [50.0, 9.0]]))

    assert predictions(kit, "floor") == {"1": 1, "2": 1, "__other__": 1}


def test_a_column_of_the_schema_may_be_spelled_otherwise(kit: InMemoryTelemetry) -> None:
    """A segment column is the declared column that its name means."""
    schema = otel_ml.Schema([Column("Home-Region", "text")])
    for function in (fast, general):
        model_with(segments=("home_region",), schema=schema).track(function)({"HomeRegion": "north"})

    assert predictions(kit, "home_region") == {"north": 2}


def test_a_large_job_counts_every_row(kit: InMemoryTelemetry) -> None:
    """Rows beyond those that are read at once count, too."""
    rows = 104_000 if kit.mode == "own" else 12_000  # features are read by 10,000 at once, outputs by 100,000
    features = pd.DataFrame({"region": ["north", "south"] * (rows // 2)})
    model_with(segments=("region",)).record(
        features, prediction=np.tile([0, 0, 1, 1], rows // 4), score=np.full(rows, 0.5), batch=True
    )

    assert counted(kit, "ml.segment.predictions") == {
        ("region", value, label): rows / 4 for value in ("north", "south") for label in ("0", "1")
    }
    assert counted(kit, "ml.segment.score") == {("region", "north"): rows / 2, ("region", "south"): rows / 2}


def test_rows_that_do_not_pair_have_no_segment(kit: InMemoryTelemetry) -> None:
    """If inputs and outputs differ in number, nobody knows which belong together."""
    model_with(segments=("region",), batch=True).track(lambda rows: [0, 1, 1])(ROWS[:2])

    assert predictions(kit, "region") == {"__missing__": 3}


def test_failures_are_errors_of_their_rows(kit: InMemoryTelemetry) -> None:
    """Each row of a failed call is an error of its segments; a call that was given up is none."""
    model = model_with(segments=("region",))

    @model.track
    def predict(features: Any) -> Any:
        raise ValueError("no")

    @model.track
    async def cancelled(features: Any) -> None:
        raise asyncio.CancelledError

    for features in (ROWS[0], ROWS):
        with pytest.raises(ValueError, match="no"):
            predict(features)
    model.record_error("too late", {"region": "west"})
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(ROWS[2]))

    assert counted(kit, "ml.segment.errors") == {("region", "north"): 3, ("region", "south"): 1, ("region", "west"): 1}
    assert counted(kit, "ml.segment.duration") == {("region", "north"): 1}
    assert predictions(kit, "region") == {}


def test_closed_sets_start_at_zero(kit: InMemoryTelemetry) -> None:
    """Segments that are known beforehand are exported before the first prediction; further values are one segment."""
    schema = otel_ml.Schema([Column("region", "text")])
    model = model_with(segments={"region": ("north", "south")}, schema=schema)

    assert set(counted(kit, "ml.segment.predictions").values()) <= {0}
    model.track(fast)({"region": "west"})
    assert counted(kit, "ml.segment.predictions") == {
        ("region", value, label): float(value == "__other__" and label == "1")
        for value in ("north", "south", "__other__")
        for label in ("0", "1")
    }
    for metric in ("ml.segment.errors", "ml.segment.missing"):
        assert counted(kit, metric) == {("region", value): 0 for value in ("north", "south", "__other__")}


def test_a_learned_set_is_bounded(kit: InMemoryTelemetry) -> None:
    """The first 12 values that come to any handle of a model are segments; equal numbers and booleans are one."""
    first, second = (model_with(segments=("code",)).track(fast) for _ in range(2))
    for number in range(10):
        first({"code": number})
        second({"code": float(number)})
        second({"code": str(number)})
    model_with(segments=("code",)).track(fast)({"code": True})  # a handle that has seen no number
    for number in range(5000, 6200):
        second({"code": number})

    assert predictions(kit, "code") == {
        **{str(number): 3 + (number == 1) for number in range(10)},
        "5000": 1,
        "5001": 1,
        "__other__": 1198,
    }


@pytest.mark.parametrize("function", [fast, general])
def test_missing_values_are_counted_by_segment(kit: InMemoryTelemetry, function: Callable[[Any], Any]) -> None:
    """Values that a declared column lacks count for the segments of their rows: alone, in a batch, in a large one."""
    schema = otel_ml.Schema([Column("age", "number"), Column("weight", "number")])
    model = model_with(segments=("region",), schema=schema)
    predict = model.track(function)
    predict({"region": "north", "age": 1, "weight": 2})
    predict({"region": "north", "age": None})
    predict({"region": "south", "age": float("nan"), "weight": 3})
    model.track(lambda rows: [1, 1])([{"region": "south", "age": 1}, {"region": "west", "age": 1, "weight": 1}])
    frame = pd.DataFrame({"region": ["north", "south"] * 40, "age": [np.nan, 1.0] * 40, "weight": 1})
    model.track(lambda rows: [1] * 80)(frame)

    found = counted(kit, "ml.segment.missing")
    assert {key: count for key, count in found.items() if count} == {("region", "north"): 42, ("region", "south"): 2}
    assert found["region", "west"] == 0
    assert sum(found.values()) == sum(
        point["value"]
        for point in kit.metrics()["ml.feature.missing"]
        if point["attributes"]["ml.feature.name"] in ("age", "weight")
    )


@pytest.mark.parametrize("function", [fast, general])
def test_sensitive_values_leave_as_codes(kit: InMemoryTelemetry, function: Callable[[Any], Any]) -> None:
    """No value of a sensitive segment column is in any signal; its segments have numbers."""
    schema = otel_ml.Schema([Column("sex", "text", sensitive=True), Column("age", "number")])
    model = model_with(segments={"sex": ("female", "male")}, fairness=("sex",), schema=schema, events="all")
    predict = model.track(function)
    for sex in ("male", "male", "female", "secret", None):
        predict({"sex": sex, "age": 30})

    assert predictions(kit, "sex") == {"group 1": 1, "group 2": 2, "__other__": 1, "__missing__": 1}
    everything = json.dumps([kit.metrics(), kit.spans(), kit.logs()])
    assert not any(value in everything for value in ("female", "male", "secret"))


class Store:
    """Keeps the rows that it is given."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def log_prediction(self, prediction: Any) -> None:
        raise AssertionError

    def drain_first(self, drain: Callable[[float], object]) -> None:
        """Has nothing to wait for."""

    def log_rows(self, rows: Any, *, wait: bool) -> None:
        self.rows += rows.predictions()


@pytest.mark.parametrize("function", [fast, general])
def test_ground_truth_gets_the_segments(kit: InMemoryTelemetry, function: Callable[[Any], Any]) -> None:
    """Each stored prediction, and each row of a batch, has its segments."""
    store = Store()
    model = model_with(ground_truth=store)
    predict = model.track(function)
    for row in (*ROWS, {"region": "south"}):
        predict(row)
    model.track(lambda rows: [0, 1])(pd.DataFrame({"region": ["north", "west"], "device": "tv"}))
    kit.flush()

    assert sorted((row.segments["region"], row.segments["device"]) for row in store.rows) == [
        ("north", "phone"),
        ("north", "tablet"),
        ("north", "tv"),
        ("south", "__missing__"),
        ("south", "phone"),
        ("west", "tv"),
    ]


def test_a_row_has_the_segments_with_which_it_came(kit: InMemoryTelemetry) -> None:
    """What the wrapped code does to its features changes no segment."""

    def change(features: dict[str, Any]) -> Any:
        features["region"] = "west"
        return {"prediction": 1, "probability": 0.9}

    predict = model_with(segments=("region",)).track(change)
    predict({"region": "north"})
    predict({"region": "north"})

    assert predictions(kit, "region") == {"north": 2}


def test_threads_count_exactly(telemetry: InMemoryTelemetry) -> None:
    """Predictions of many threads at once are each counted in their own segment, with their class and score."""
    model = model_with(segments=("region",))

    @model.track
    def predict(features: dict[str, Any]) -> Any:
        return {"prediction": features["label"], "probability": features["score"]}

    def work(row: dict[str, Any]) -> None:
        for _ in range(500):
            predict(row)

    rows = [{"region": f"r{number}", "label": number % 2, "score": number / 10} for number in range(4)]
    threads = [threading.Thread(target=work, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    telemetry.metrics()
    for thread in threads:
        thread.join()

    found = counted(telemetry, "ml.segment.predictions")
    assert {key: count for key, count in found.items() if count} == {
        ("region", f"r{number}", str(number % 2)): 500 for number in range(4)
    }
    scores = {point["attributes"]["ml.segment.value"]: point for point in telemetry.metrics()["ml.segment.score"]}
    assert [scores[f"r{number}"]["sum"] for number in range(4)] == pytest.approx([0, 50, 100, 150])


def test_a_model_without_segments_exports_none(kit: InMemoryTelemetry) -> None:
    """No metric by segment appears on its own."""
    model_with(segments=None).track(fast)(ROWS[0])

    assert not [name for name in kit.metrics() if "segment" in name]


def test_the_series_are_those_that_doctor_expects(telemetry: InMemoryTelemetry) -> None:
    """Two columns of 8 values, with further and missing ones, have as many series as `otel-ml doctor` prints."""
    values = [f"v{number}" for number in range(8)]
    schema = otel_ml.Schema([Column("a", "text"), Column("b", "text")])
    predict = model_with(segments={"a": values, "b": values}, schema=schema).track(fast)
    for value in (*values, "another", None):
        predict({"a": value, "b": value})

    points = [point for name, found in telemetry.metrics().items() if "segment" in name for point in found]
    with_labels = 4 * 2 * 10
    assert (
        sum(len(point["counts"]) + 2 if "counts" in point else 1 for point in points) + with_labels
        == _SEGMENT_SERIES * 2 * 10
    )


@pytest.mark.parametrize("columns", [("a",), ("a", "b"), ("a", "b", "c")])
def test_every_number_of_columns_is_counted(telemetry: InMemoryTelemetry, columns: tuple[str, ...]) -> None:
    """One, two and three columns are each counted by their own values, whatever came before."""
    predict = model_with(segments=columns).track(fast)
    for number in range(8):
        predict({"a": f"a{number & 1}", "b": f"b{number >> 1 & 1}", "c": f"c{number >> 2}"})
        predict({"a": f"a{number & 1}", "b": f"b{number >> 1 & 1}", "c": f"c{number >> 2}"})

    for column in columns:
        assert predictions(telemetry, column) == {f"{column}0": 8, f"{column}1": 8}


def test_many_predictions_are_counted_before_a_collection(telemetry: InMemoryTelemetry) -> None:
    """The worker sorts what is pending of a combination; the sums stay those of the model."""
    predict = model_with(segments=("region",)).track(fast)
    for number in range(2000):
        predict({"region": "north" if number % 4 else "south"})
    cells = ports.state().engine._models.all_cells()[0]
    cells.bucket_pending()
    assert cells.count_finished() == 2000

    assert predictions(telemetry, "region") == {"north": 1500, "south": 500}
    [durations] = telemetry.metrics()["ml.prediction.duration"]
    by_segment = telemetry.metrics()["ml.segment.duration"]
    assert sum(point["sum"] for point in by_segment) == pytest.approx(durations["sum"])
    assert max(point["max"] for point in by_segment) == durations["max"]
    assert sum(point["count"] for point in by_segment) == durations["count"] == 2000


def test_a_forked_child_starts_at_zero(telemetry: InMemoryTelemetry) -> None:
    """What is pending of a combination at a fork belongs to the parent."""
    predict = model_with(segments=("region",)).track(fast)
    for _ in range(3):
        predict(ROWS[0])
    cells = ports.state().engine._models.all_cells()[0]
    cells.reset_after_fork()
    predict(ROWS[0])

    assert predictions(telemetry, "region") == {"north": 1}


def test_a_payload_around_the_row_is_opened_each_time(telemetry: InMemoryTelemetry) -> None:
    """What was found in one payload is not taken for the next one."""
    predict = model_with(segments=("region",)).track(fast)
    predict({"id": "eu", "instances": [{"region": "north"}]})
    predict({"id": "eu", "instances": [{"region": "south"}]})

    assert predictions(telemetry, "region") == {"north": 1, "south": 1}


def test_models_counted_as_others_have_no_segments() -> None:
    """A model that finds no place for its series is counted without its segments; its rows keep them for labels."""
    with InMemoryTelemetry(max_models=1) as kit:
        first = model_with(segments=None)
        store = Store()
        second = otel_ml.Model("further", task="binary", classes=[0, 1], segments=("region",), ground_truth=store)
        first.track(fast)(ROWS[0])
        second.track(fast)(ROWS[0])
        second.track(general)(ROWS[0])
        kit.flush()

        assert not [name for name in kit.metrics() if "segment" in name]
        assert [row.segments for row in store.rows] == [{"region": "north"}] * 2


@pytest.mark.parametrize("features", [{"area": "north"}, [{"area": "north"}, {"area": "south"}]])
def test_a_column_that_no_row_has_is_said(
    kit: InMemoryTelemetry, features: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One line names it, whatever comes later; a value of None is a column that is there."""
    model = model_with(segments=("region", "device"))
    rows = len(features) if isinstance(features, list) else 0
    present = {"device": None}
    first = [{**row, **present} for row in features] if rows else {**features, **present}
    for _ in range(2):
        model.record(first, prediction=[1] * rows or 1)
    lines = [record.message for record in caplog.records if "segments" in record.message]
    assert lines == [
        "otel-ml: segments: the first row has no column 'region'; rows without it are counted as __missing__"
    ]
    assert predictions(kit, "region") == {"__missing__": 2.0 * max(rows, 1)}
