"""Arrays without names, of models whose training file also had an index, ids or dates.

Sources: milvus-io/milvus#33197, pandas-dev/pandas#51664, whylabs/whylogs#1125 (sparse matrices).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from otel_ml import Model, ReferenceProfile
from otel_ml.cli import main
from otel_ml.testing import InMemoryTelemetry

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=600), "b": 100 + RNG.normal(size=600)})
IDS = FRAME.assign(id=[f"u{place}" for place in range(600)], day=pd.date_range("2026-01-01", periods=600))[
    ["id", "a", "day", "b"]
]


def counted(profile: ReferenceProfile, rows: Any) -> dict[str, float]:
    """The values in bins by feature, after a batch."""
    with InMemoryTelemetry() as telemetry:
        Model("m", profile=profile).record(rows, prediction=np.ones(len(rows), int), batch=True)
        found: dict[str, float] = {}
        for point in telemetry.metrics()["ml.feature.values"]:
            name = point["attributes"]["ml.feature.name"]
            found[name] = found.get(name, 0) + point["value"]
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize("index", [None, "key", "a name"])
def test_the_index_of_pandas_is_no_column(tmp_path: Path, index: str | None) -> None:
    """A shuffled frame has an index, which parquet and Feather keep as a column and CSV without a name."""
    shuffled = FRAME.sample(frac=0.8, random_state=0).rename_axis(index)
    shuffled.to_parquet(tmp_path / "i.parquet")
    shuffled.rename_axis(None).to_csv(tmp_path / "i.csv")
    for ending in ("parquet", "csv"):
        saved = tmp_path / f"{ending}.json"
        assert main(["profile", "--data", str(tmp_path / f"i.{ending}"), "--output", str(saved)]) == 0
        profile = ReferenceProfile.load(saved)

        assert profile.columns == ("a", "b")
        assert counted(profile, FRAME.to_numpy()) == {"a": 600, "b": 600}


@pytest.mark.filterwarnings("ignore:not monitored")
def test_an_array_as_wide_as_the_monitored_columns_has_these(caplog: pytest.LogCaptureFixture) -> None:
    """Ids and dates of the training file are not what the model gets; one line says how the rows are read."""
    profile = ReferenceProfile.fit(IDS)
    with caplog.at_level(logging.WARNING, "otel_ml"):
        assert counted(profile, FRAME.to_numpy()) == {"a": 600, "b": 600}

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "otel-ml: rows of model 'm' have 2 values, the profile or schema has 4 columns (id, a, day, b): they are read "
        "as its monitored columns (a, b); "
    )


@pytest.mark.filterwarnings("ignore:not monitored")
@pytest.mark.parametrize("width", [1, 3, 5])
def test_an_array_of_another_width_is_said(caplog: pytest.LogCaptureFixture, width: int) -> None:
    """Nothing is counted, nothing is missing, and one line has both numbers."""
    profile = ReferenceProfile.fit(IDS)
    with caplog.at_level(logging.WARNING, "otel_ml"):
        assert counted(profile, np.ones((10, width))) == {}

    assert [f"have {width} values, the profile or schema has 4 columns" in line for line in caplog.messages] == [True]


@pytest.mark.filterwarnings("ignore:not monitored")
def test_a_sensitive_column_that_is_not_monitored_forbids_the_guess(caplog: pytest.LogCaptureFixture) -> None:
    """One of the two values could be the id: nothing of the rows is kept."""
    profile = ReferenceProfile.fit(IDS, sensitive=("id",))
    with caplog.at_level(logging.WARNING, "otel_ml"):
        assert counted(profile, FRAME.to_numpy()) == {}

    assert any("they are not read" in line for line in caplog.messages)


@pytest.mark.parametrize("rows", [scipy.sparse.csr_matrix(FRAME), scipy.sparse.csr_array(FRAME), np.ones((600, 2, 3))])
def test_what_has_no_rows_of_values_is_said(caplog: pytest.LogCaptureFixture, rows: Any) -> None:
    """A sparse matrix and an array of three dimensions are not read; one line says that no column was found."""
    profile = ReferenceProfile.fit(FRAME)
    with caplog.at_level(logging.WARNING, "otel_ml"), InMemoryTelemetry() as telemetry:
        Model("m", profile=profile).record(rows, prediction=np.ones(600, int), batch=True)
        metrics = telemetry.metrics()

    assert [line[:61] for line in caplog.messages] == ["otel-ml: none of the declared columns of model 'm' (a, b) was"]
    values, missing = metrics["ml.feature.values"], metrics["ml.feature.missing"]
    assert not any(point["value"] for point in [*values, *missing])
    assert sum(point["value"] for point in metrics["ml.predictions"]) == 600
