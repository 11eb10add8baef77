"""Columns are found although their names differ in form from those of the training table.

Sources: EdwinWenink/udacity-ml-fastapi (6 of 11 columns counted as missing at every prediction), Azure/azureml-assets#2444
(column names of production and baseline do not match).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sqlite3
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field, SecretStr, computed_field

import otel_ml
from otel_ml.quality._drift import DriftCounts
from otel_ml.testing import InMemoryTelemetry

RESULT = {"prediction": 1, "probability": 0.9}
TRAIN = pd.DataFrame({"hours-per-week": [20.0, 30.0, 40.0, 50.0] * 250, "workclass": ["state", "private"] * 500})
PROFILE = otel_ml.ReferenceProfile.fit(TRAIN)


class In(BaseModel):
    hours: float = Field(alias="hours-per-week")
    work: str = Field(alias="workclass")


class Wrapped(BaseModel):
    applicant: In
    request_id: str = "r-1"


def database_row() -> sqlite3.Row:
    """A row as a database driver gives it."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.row_factory = sqlite3.Row
        row: sqlite3.Row = database.execute("SELECT 40.0 AS \"hours-per-week\", 'state' AS workclass").fetchone()
        return row


@dataclasses.dataclass
class Row:
    hours_per_week: float
    work_class: str


def counts(kit: InMemoryTelemetry) -> tuple[int, int, int]:
    """Returns how many values were counted in bins, as missing and as violations."""
    metrics = kit.metrics()
    names = ("ml.feature.values", "ml.feature.missing", "ml.data.violations")
    bins, missing, violations = (sum(point["value"] for point in metrics[name]) for name in names)
    return bins, missing, violations


@pytest.mark.parametrize("mode", ["own", "guest"])
@pytest.mark.parametrize(
    ("features", "rows"),
    [
        (In(**{"hours-per-week": 40.0, "workclass": "state"}), 1),
        ([In(**{"hours-per-week": 40.0, "workclass": "state"})] * 3, 3),
        (Row(40.0, "state"), 1),
        ({"hours_per_week": 40.0, "WorkClass": "state"}, 1),
        ({"hours.per.week": 40, "Work-Class": "state"}, 1),
        ({"data": {"hours-per-week": 40.0, "workclass": "state"}}, 1),
        ({"hours": {"per": {"week": 40.0}}, "workclass": "state"}, 1),
        (Wrapped(applicant=In(**{"hours-per-week": 40.0, "workclass": "state"})), 1),
        ([Wrapped(applicant=In(**{"hours-per-week": 40.0, "workclass": "state"}))] * 3, 3),
        ({"hours_per_week": 40.0, "job": {"workclass": "state"}}, 1),
        ([{"hours_per_week": 40.0, "job": {"workclass": "state"}}] * 2, 2),
        (pd.DataFrame({"workclass": ["state"] * 3}, index=pd.Index([40.0] * 3, name="hours-per-week")), 3),
        (database_row(), 1),
        (pd.DataFrame({"Hours per week": [40.0] * 4, "Workclass": ["state"] * 4}), 4),
        (pd.DataFrame([[40.0, "state"]] * 4), 4),
        (pd.Series([40.0, "state"]), 1),
        (np.array([("state", 40.0)] * 2, dtype=[("workclass", "U9"), ("hours_per_week", "f8")]), 2),
    ],
    ids=["alias", "models", "dataclass", "mapping", "dots", "wrapped", "path", "inner model", "inner models"]
    + ["in part", "rows in part", "index", "database", "frame", "no names", "series", "fields"],
)
def test_the_values_are_counted(mode: Any, features: Any, rows: int) -> None:
    """Each value is in a bin; nothing is missing and nothing breaks a rule."""
    result = [RESULT] * rows if rows > 1 else RESULT
    with InMemoryTelemetry(mode) as kit:
        model = otel_ml.Model("m", task="binary", profile=PROFILE)
        model.track(lambda features: result)(features)

        assert counts(kit) == (2 * rows, 0, 0)


class Computed(BaseModel):
    raw: float
    secret: SecretStr = SecretStr("x")

    @computed_field(alias="hours-per-week")
    @property
    def hours_per_week(self) -> float:
        return self.raw

    @property
    def workclass(self) -> str:
        return "state"


class Lazy:
    def __init__(self) -> None:
        self.raw = 1.0

    def __getattr__(self, name: str) -> float:
        return 40.0


@pytest.mark.parametrize("mode", ["own", "guest"])
@pytest.mark.parametrize(
    "features",
    [
        Computed(raw=40.0),
        Lazy(),
        30,
        [40.0, "state", 1.0],
        {"rows": [{"hours-per-week": 40.0}], "history": [{"hours-per-week": 30.0}]},
        {"a": {"hours-per-week": 40.0, "workclass": "x"}, "b": {"hours-per-week": 30.0, "workclass": "y"}},
        [{"a": {"hours-per-week": 40.0, "workclass": "x"}, "b": {"hours-per-week": 30.0, "workclass": "y"}}] * 2,
        object(),
        (value for value in [1]),
        {**{f"f{number}": 1.0 for number in range(1000)}, "hours-per-week": 40.0, "workclass": "state"},
    ],
    ids=["computed", "lazy", "scalar", "too wide", "rows inside", "two places", "two places in rows"]
    + ["object", "generator", "cut"],
)
def test_what_was_not_looked_at_is_not_missing(mode: Any, features: Any) -> None:
    """A value that was not read is neither counted, nor missing, nor a violation."""
    with InMemoryTelemetry(mode) as kit:
        otel_ml.Model("m", task="binary", profile=PROFILE).track(lambda features: RESULT)(features)

        assert counts(kit) == (0, 0, 0)


def test_a_column_that_is_really_absent_is_missing(telemetry: InMemoryTelemetry) -> None:
    """A row that was read as a whole and does not have a column breaks the rule, as before."""
    otel_ml.Model("m", task="binary", profile=PROFILE).track(lambda features: RESULT)({"hours_per_week": 40.0})

    assert counts(telemetry) == (1, 1, 1)


def test_two_columns_of_one_form_are_told_apart(telemetry: InMemoryTelemetry) -> None:
    """Names that differ in form only stay two columns; a third form of them is no value of either."""
    train = pd.DataFrame({"v1": [1.5, 2.5] * 100, "V1": ["a", "b"] * 100})
    predict = otel_ml.Model("m", task="binary", profile=otel_ml.ReferenceProfile.fit(train)).track(lambda row: RESULT)
    predict({"v1": 1.5, "V1": "a"})
    predict({"v-1": 1.5})

    assert counts(telemetry) == (2, 0, 0)


def test_a_row_without_any_declared_column_is_told_once(
    telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """One line names the columns that were looked for."""
    predict = otel_ml.Model("m", task="binary", profile=PROFILE).track(lambda features: RESULT)
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for _ in range(2):
            predict({"a": 1.0})
        telemetry.flush()

    (line,) = [line for line in caplog.messages if "hours-per-week" in line]
    assert line == (
        "otel-ml: none of the declared columns of model 'm' (hours-per-week, workclass) was found in its features; "
        "pass a row with these names, say which argument it is with track(features='...'), or use "
        "`with model.prediction(row):`"
    )


def test_drift_finds_the_columns_of_a_file_in_another_form() -> None:
    """A data set with the same columns in another spelling is compared with the profile."""
    scan = DriftCounts(PROFILE)
    scan.count({"hours_per_week": [20.0, 30.0], "Workclass": ["state", "private"]}, 2)

    assert {drift.name: (drift.count, drift.missing) for drift in scan.features()} == {
        "hours-per-week": (2, 0),
        "workclass": (2, 0),
    }
