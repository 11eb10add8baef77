"""Labels come in whatever people hold them in, and are read for what they are or refused with a reason.

Sources: label-sleuth/label-sleuth#499 (labels whose ids are integers cannot be uploaded), deepchecks/monitoring#309 (labels
in bulk, with an error for each that is wrong), pandas-dev/pandas#22450 and #29779 (a moment of pandas without a zone is UTC,
one of Python is local time), gusutabopb/aioinflux#11 (which of them is meant), bxparks/bigquery-schema-generator#19 (BigQuery writes
``UTC`` for a zone), man-group/arctic#157 (NaN in a column of texts is stored as ``nan``).
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


@pytest.fixture
def truth(telemetry: InMemoryTelemetry, store_url: str) -> Iterator[otel_ml.GroundTruth]:
    made = otel_ml.GroundTruth(store_url)
    model = otel_ml.Model("m", "1", task="binary", classes=["0", "1"], ground_truth=made)
    for name in ("p1", "p2"):
        model.record({}, prediction=1, id=name)
    made.flush()
    yield made
    made.close()


COLUMNS: dict[str, list[Any]] = {"prediction_id": ["p1", "p2"], "label": [1, 0]}


UNREADABLE = "labels are (prediction_id, label), or mappings or a frame with these two names"


@pytest.mark.parametrize(
    "labels",
    [
        {"p1": 1, "p2": 0},
        [("p1", 1), ["p2", 0]],
        lambda: zip(["p1", "p2"], [1, 0], strict=True),
        [("p1", 1, time.time()), ("p2", 0, None, "m")],
        [{"prediction_id": "p1", "label": 1}, {"id": "p2", "label": 0, "model": "m"}],
        pd.Series([1, 0], index=["p1", "p2"]),
        pd.Series({"p1": True, "p2": False}),
        pd.DataFrame(COLUMNS),
        pd.DataFrame({"label": [1.0, 0.0], "id": ["p1", "p2"], "other": [None, None]}),
        pd.DataFrame(COLUMNS).assign(at=pd.Timestamp("2026-06-01", tz="UTC"), model="m"),
        pa.table(COLUMNS),
        np.array([["p1", "1"], ["p2", "0"]]),
        pd.DataFrame(COLUMNS).to_records(index=False),
        COLUMNS,
        {"id": np.array(["p1", "p2"]), "label": pd.Series([1, 0])},
        pd.DataFrame(COLUMNS).set_index("prediction_id"),
        pd.DataFrame(COLUMNS).assign(at=pd.NaT, model=np.nan),
        pa.table({**COLUMNS, "at": [None, None], "model": [None, None]}),
        lambda: pd.DataFrame(COLUMNS).assign(at=None, model=np.nan).itertuples(index=False),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_are_read_for_what_they_are(truth: otel_ml.GroundTruth, labels: Any) -> None:
    """Tuples, mappings, Series, frames and arrays: each label finds its prediction."""
    assert truth.record_labels(labels() if callable(labels) else labels) == {"matched": 2}
    assert truth.compute_metrics(0, 4e9, model="m", by="predicted_at")["accuracy"] == 0.5


def test_one_row_by_the_names_of_its_values(truth: otel_ml.GroundTruth) -> None:
    """The body of a request is no mapping of the ids ``prediction_id`` and ``label``."""
    assert truth.record_labels({"prediction_id": "p1", "label": 1, "model": "m"}) == {"matched": 1}
    assert truth.account().waiting == 0


@pytest.mark.parametrize(
    "labels",
    [
        "p1",
        b"p1",
        17,
        None,
        ["p1"],
        [b"p1"],
        [("p1",)],
        [("p1", 1, None, "m", "more")],
        [{"p1": 1}],
        [None],
        [("p1", None)],
        {"prediction_id": "p1", "label": None},
        {"prediction_id": ["p1", "p2"], "label": [1]},
    ],
    ids=repr,
)
def test_what_is_no_label_is_refused_with_a_reason(
    truth: otel_ml.GroundTruth, labels: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A text is never split into an id and a label, and nothing is stored under an id that nobody gave."""
    assert truth.record_labels(labels) == {"failed": 1}
    assert (truth.account().failed, truth.account().waiting) == ({"unreadable": 1}, 0)
    assert [record.message for record in caplog.records if "label" in record.message] == [
        f"otel-ml: a label without an id or a value was not recorded: {UNREADABLE}"
    ]


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table])
def test_a_frame_with_other_names_is_told_which_it_needs(
    truth: otel_ml.GroundTruth, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The line names the columns that it has."""
    assert truth.record_labels(make({"id": ["p1", "p2"], "truth": [1, 0]})) == {"failed": 1}
    assert caplog.messages[0] == (
        "otel-ml: a frame of labels needs the columns prediction_id and label; this one has id, truth: rename them"
    )


NOON = dt.datetime(2026, 6, 1, 12)  # noqa: DTZ001 - without a zone
UTC = NOON.replace(tzinfo=dt.timezone.utc).timestamp()
HERE = UTC + 4 * 3600
"""In New York."""


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (NOON, HERE),
        (pd.Timestamp(NOON), HERE),
        (np.datetime64(NOON), HERE),
        ("2026-06-01T12:00:00", HERE),
        ("2026-06-01 12:00:00", HERE),
        (pd.Timestamp(NOON, tz="UTC"), UTC),
        ("2026-06-01T12:00:00Z", UTC),
        ("2026-06-01T14:00:00+02:00", UTC),
        ("2026-06-01 12:00:00 UTC", UTC),
        (" 2026-06-01T12:00:00Z\n", UTC),
        (UTC, UTC),
        (np.float64(UTC), UTC),
        (int(UTC), UTC),
        (dt.date(2026, 6, 1), HERE - 12 * 3600),
        ("2026-06-01", HERE - 12 * 3600),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("new_york")
def test_a_moment_means_the_same_in_every_form(truth: otel_ml.GroundTruth, moment: Any, expected: float) -> None:
    """Without a zone it is local time, whatever library it comes from; windows take the same forms."""
    assert truth.record_label("p1", 1, moment) == "matched"
    assert truth.compute_metrics(expected, expected + 1, model="m")["labelled"] == 1
    assert truth.compute_metrics(moment, expected + 1, model="m")["labelled"] == 1


@pytest.mark.parametrize(
    "moment", ["yesterday", float("nan"), pd.NaT, True, [1], "2026-13-01", 9e10, 10**400], ids=repr
)
def test_what_is_no_moment_is_said_to_be_none(
    truth: otel_ml.GroundTruth, moment: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason names the moment, not the label."""
    assert truth.record_label("p1", 1, moment) == "failed"
    assert truth.account().failed == {"moment": 1}
    assert "its at= is neither seconds since the epoch nor a datetime nor an ISO 8601 text" in caplog.text


def test_ids_that_are_numbers_are_found(store_url: str) -> None:
    """Python's, numpy's and those of a column of whole numbers are the same id, as number and as text."""
    truth = otel_ml.GroundTruth(store_url)
    model = otel_ml.Model("m", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    for number in range(4):
        model.record({}, prediction=1, id=number)
    truth.flush()

    assert [truth.record_label(name, 1) for name in (0, np.int64(1), "2")] == ["matched"] * 3  # type: ignore[arg-type]
    assert truth.record_labels(pd.DataFrame({"id": [3], "label": [1]})) == {"matched": 1}
    truth.close()


@pytest.mark.parametrize("length", [128, 129, 256, 257, 1000])
def test_a_label_finds_its_prediction_by_an_id_of_any_length(
    telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth, length: int
) -> None:
    """Prediction and label keep as many characters of an id, of a row too."""
    name = "x" * length
    model = otel_ml.Model("m", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    model.record({}, prediction=1, id=name)
    model.record(None, prediction=[0, 1], id=["first", "y" + name], batch=True)
    truth.flush()

    assert truth.record_labels({name: 1, "y" + name: 1, "first": 0}) == {"matched": 3}
