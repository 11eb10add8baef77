"""A prediction that is recorded later keeps its own moment, in whatever form it is given, and never gets another silently.

Sources: whylabs/whylogs#1578 (metrics that ignore the given timestamp), PostHog/posthog#89141 (back-filled predictions stamped with
their own day), mozilla/bigquery-etl#9881 (milliseconds as seconds: events decades in the future).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.timezone.utc)
DAY = 86_400.0


def model(truth: otel_ml.GroundTruth) -> otel_ml.Model:
    return otel_ml.Model("m", task="binary", classes=[0, 1], ground_truth=truth, events="all")


def predicted_on(truth: otel_ml.GroundTruth, day: int) -> int:
    """Predictions of a day after that of `NOON`."""
    start = NOON.timestamp() - DAY / 2 + day * DAY
    found: int = truth.compute_metrics(start, start + DAY, model="m", by="predicted_at")["predicted"]
    return found


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.timestamp(),
        int(NOON.timestamp()),
        "2026-06-01T12:00:00Z",
        "2026-06-01 14:00:00+02:00",
        pd.Timestamp(NOON),
        np.float64(NOON.timestamp()),
    ],
    ids=repr,
)
def test_span_event_and_truth_have_the_moment(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, moment: Any) -> None:
    """It ends then, after its duration; the metrics count it as one more call."""
    model(truth).record({"x": 1.0}, prediction=1, score=0.9, duration=0.5, id="a", at=moment)
    truth.flush()

    nanoseconds = int(NOON.timestamp()) * 10**9
    (span,) = kit.spans()
    (event,) = kit.events("ml.prediction")
    assert (span["start_ns"], span["end_ns"]) == (nanoseconds - 5 * 10**8, nanoseconds)
    assert event["time_ns"] == nanoseconds
    assert [predicted_on(truth, day) for day in (-1, 0, 1)] == [0, 1, 0]
    (duration,) = kit.metrics()["ml.prediction.duration"]
    assert (duration["count"], duration["sum"], len(duration["exemplars"])) == (1, 0.5, 1)


def test_a_window_that_starts_at_the_moment_has_it(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """The stored moment is the given one to the last bit, although spans count in nanoseconds."""
    moments = [NOON.timestamp() + number / 7 for number in range(20)]
    for number, moment in enumerate(moments):
        model(truth).record({}, prediction=1, id=str(number), at=moment)
    truth.flush()
    starts = [truth.compute_metrics(moment, 4e9, model="m", by="predicted_at")["predicted"] for moment in moments]
    assert starts == list(range(20, 0, -1))


@pytest.mark.parametrize(
    "moments",
    [
        [NOON, NOON + dt.timedelta(days=1), NOON + dt.timedelta(days=1)],
        pd.Series(pd.to_datetime([NOON, NOON + dt.timedelta(days=1), NOON + dt.timedelta(days=1)])),
        np.array([0.0, DAY, DAY]) + NOON.timestamp(),
        ["2026-06-01T12:00:00Z", "2026-06-02T12:00:00Z", "2026-06-02T00:00:00Z"],
    ],
    ids=lambda moments: type(moments).__name__,
)
def test_each_row_of_a_batch_has_its_day(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, moments: Any) -> None:
    """The span of the batch ends with the last row."""
    rows = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    model(truth).record(rows, prediction=[0, 1, 1], id=["a", "b", "c"], batch=True, at=moments)
    truth.flush()

    assert [predicted_on(truth, day) for day in (0, 1, 2)] == [1, 2, 0]
    assert kit.spans()[0]["end_ns"] == int(NOON.timestamp() + DAY) * 10**9


def test_one_moment_is_that_of_all_rows(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """A nightly job gives its day once."""
    model(truth).record([{"x": 1}] * 3, prediction=[0, 1, 1], batch=True, at=dt.date(2026, 6, 1))
    truth.flush()
    assert predicted_on(truth, 0) == 3


@pytest.mark.parametrize(
    "moment", ["yesterday", NOON.timestamp() * 1000, float("nan"), pd.NaT, True, -1.0, object], ids=repr
)
def test_what_is_no_moment_is_said_and_not_taken_for_now(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture, moment: Any
) -> None:
    """Its day is not known, so it is not in the ground truth; it is counted, and one line says so."""
    for name in "ab":
        model(truth).record({"x": 1.0}, prediction=1, id=name, at=moment)
    truth.flush()

    assert truth.account().stored == 0
    omissions = kit.metrics()["otelml.prediction.omissions"]
    assert [(point["attributes"]["otelml.omission.reason"], point["value"]) for point in omissions] == [("moment", 2)]
    assert [record.message.partition(", so")[0] for record in caplog.records if "at=" in record.message] == [
        "otel-ml: model 'm': at= is neither seconds since the epoch nor a datetime, a date or an ISO 8601 text"
    ]


def test_a_row_without_a_moment_is_left_out(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """The other rows of the batch are stored; moments that do not fit the rows are not guessed."""
    made = model(truth)
    made.record([{"x": 1}] * 3, prediction=[0, 1, 1], batch=True, at=[NOON, None, NOON])
    made.record([{"x": 1}] * 3, prediction=[0, 1, 1], batch=True, at=[NOON, NOON])
    truth.flush()

    assert (truth.account().stored, predicted_on(truth, 0)) == (2, 2)
    omissions = kit.metrics()["otelml.prediction.omissions"]
    assert {point["attributes"]["otelml.omission.reason"]: point["value"] for point in omissions if point["value"]} == {
        "moment": 1,
        "pairing": 3,
    }


def test_a_failure_of_the_past_has_its_moment(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """`record_error` takes it too."""
    model(truth).record_error(ValueError("no"), {"x": 1.0}, at=NOON)
    assert kit.spans()[0]["end_ns"] == kit.events("ml.prediction")[0]["time_ns"] == int(NOON.timestamp()) * 10**9


def test_labels_in_milliseconds_are_refused(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """They would be in no window for fifty thousand years."""
    model(truth).record({}, prediction=1, id="a")
    truth.flush()
    assert truth.record_label("a", 1, NOON.timestamp() * 1000) == "failed"
    assert truth.account().failed == {"moment": 1}
    with pytest.raises(ValueError, match="divide milliseconds by 1000"):
        truth.compute_metrics(NOON.timestamp() * 1000, 2e12, model="m")
