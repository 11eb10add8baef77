"""The join of predictions and labels, and what it emits."""

from __future__ import annotations

import datetime as dt
import json
import math

import numpy as np
import pytest
from truth_rows import log

from otel_ml._figures.bins import ERROR_LABELS

MODEL = ("fraud", "1", "primary")
STATES = {("ml.eval.labels", *MODEL, state): 0 for state in ("matched", "duplicate", "revised")}
OUTCOMES = {("ml.eval.outcomes", *MODEL, predicted, actual): 0 for predicted in "01" for actual in "01"}
BINS = {
    **{
        ("ml.eval.score_bin", *MODEL, "1", is_actual, f"{position:02d}"): 0
        for is_actual in ("true", "false")
        for position in range(50)
    },
    **{("ml.eval.score_sum", *MODEL, "1", f"{position:02d}"): 0 for position in range(50)},
}
SCORES = {
    (f"ml.eval.{name}", *MODEL): 0
    for name in ("predictions", "brier_score", "brier_score.squares", "log_loss", "log_loss.squares")
}


def test_a_label_becomes_counts_and_an_event_on_the_trace(truth, emitted):
    """Outcome, score bin, state and lag, and `ml.label` under the trace of the prediction."""
    log(truth, "p1")
    assert truth.flush()
    assert emitted.metrics() == {**STATES, **OUTCOMES, **BINS, **SCORES}
    assert truth.record_label("p1", 0) == "matched"
    assert emitted.metrics() == {
        **STATES,
        **OUTCOMES,
        **BINS,
        ("ml.eval.labels", *MODEL, "matched"): 1,
        ("ml.eval.outcomes", *MODEL, "1", "0"): 1,
        ("ml.eval.score_bin", *MODEL, "1", "false", "46"): 1,
        ("ml.eval.score_sum", *MODEL, "1", "46"): 0.93,
        ("ml.eval.predictions", *MODEL): 1,
        ("ml.eval.brier_score", *MODEL): pytest.approx(0.93**2),
        ("ml.eval.brier_score.squares", *MODEL): pytest.approx(0.93**4),
        ("ml.eval.log_loss", *MODEL): pytest.approx(-math.log(0.07)),
        ("ml.eval.log_loss.squares", *MODEL): pytest.approx(math.log(0.07) ** 2),
        ("ml.eval.label.lag", *MODEL): (1, 60.0),
    }
    (event,) = emitted.events()
    assert (event.event_name, event.trace_id, event.span_id, int(event.trace_flags), event.severity_text) == (
        "ml.label",
        0xABC,
        0xDEF,
        1,
        "INFO",
    )
    assert (event.timestamp, json.loads(event.body)) == (1000 * 10**9, {"prediction": "1", "label": "0"})
    assert dict(event.attributes) == {
        "ml.model.name": "fraud",
        "ml.model.version": "1",
        "ml.model.role": "primary",
        "ml.prediction.id": "p1",
        "ml.label.value": "0",
        "ml.label.correct": False,
    }


def test_a_label_may_come_before_its_prediction(truth, emitted):
    """It waits, and is joined once when the prediction is written."""
    assert truth.record_label("p1", 1, at=950) == "waiting"
    assert truth.record_label("p1", 1) == "duplicate"
    log(truth, "p1")
    assert truth.flush()
    found = emitted.metrics()
    assert (found[("ml.eval.outcomes", *MODEL, "1", "1")], found[("ml.eval.label.lag", *MODEL)]) == (1, (1, 10.0))
    assert {key[1:]: value for key, value in found.items() if key[0] == "ml.eval.labels" and value} == {
        ("waiting",): 1,
        ("duplicate",): 1,
        (*MODEL, "matched"): 1,
    }
    assert truth.record_label("p1", 1) == "duplicate"


def test_the_first_label_is_counted_live_and_the_latest_in_figures(truth, emitted):
    """A repeated label changes nothing; a different one replaces the first, and its event shows it on the trace."""
    log(truth, "p1")
    truth.flush()
    states = [truth.record_label("p1", label) for label in (1, 1.0, np.int64(1), "1", 0)]
    assert states == ["matched", "duplicate", "duplicate", "duplicate", "revised"]
    found = emitted.metrics()
    assert [found[("ml.eval.labels", *MODEL, state)] for state in ("matched", "duplicate", "revised")] == [1, 3, 1]
    assert sum(value for key, value in found.items() if key[0] == "ml.eval.outcomes") == 1
    assert [event.attributes["ml.label.value"] for event in emitted.events()] == ["1", "0"]
    assert truth.compute_metrics(0, 2000, model="fraud")["accuracy"] == 0.0


def test_an_id_that_is_used_again_keeps_its_first_prediction(truth, emitted):
    """The second one is not stored and cannot be joined again."""
    log(truth, "p1")
    log(truth, "p1", predicted="0")
    truth.flush()
    assert truth.record_label("p1", 1) == "matched"
    log(truth, "p1", predicted="0")
    truth.flush()
    assert truth.record_label("p1", 1) == "duplicate"
    assert emitted.metrics()[("ml.eval.outcomes", *MODEL, "1", "1")] == 1


def test_many_labels_are_recorded_in_batches(truth, emitted):
    """Labels come as tuples of id, label and moment; the states are counted."""
    for position in range(1200):
        log(truth, f"p{position}")
    truth.flush()
    at = dt.datetime.fromtimestamp(960, tz=dt.timezone.utc)
    labels = [(f"p{position}", position % 2, at) for position in range(1300)]
    assert truth.record_labels([*labels, ("p0", 0), ("p0", 1), ("p1", None)]) == {
        "matched": 1200,
        "waiting": 100,
        "duplicate": 1,
        "revised": 1,
        "failed": 1,
    }
    assert emitted.metrics()[("ml.eval.label.lag", *MODEL)] == (1200, 1200 * 20.0)


def test_a_regression_adds_its_errors(truth, emitted):
    """Count, absolute and squared errors, cumulative bins of the absolute error; no outcome, no correctness."""
    for name, value in (("a", 10.0), ("b", 2.5)):
        log(truth, name, task="regression", positive=None, predicted=None, value=value, score=None)
    truth.flush()
    assert truth.record_labels([("a", 13.0), ("b", 2)]) == {"matched": 2}
    assert emitted.metrics() == {
        **STATES,
        ("ml.eval.labels", *MODEL, "matched"): 2,
        ("ml.eval.predictions", *MODEL): 2,
        ("ml.eval.absolute_error", *MODEL, "over"): 0.5,
        ("ml.eval.absolute_error", *MODEL, "under"): 3.0,
        ("ml.eval.squared_error", *MODEL): 9.25,
        ("ml.eval.squared_error.squares", *MODEL): 81.0625,
        **{
            ("ml.eval.error_bin", *MODEL, label): sum(error <= float(label) for error in (0.5, 3.0))
            for label in ERROR_LABELS
        },
        ("ml.eval.label.lag", *MODEL): (2, 120.0),
    }
    event = emitted.events()[0]
    assert (json.loads(event.body), "ml.label.correct" in event.attributes) == (
        {"prediction": 10.0, "label": 13.0},
        False,
    )


def test_a_label_of_a_regression_may_be_a_text(truth, emitted):
    """Labels come as a query parameter or a column of a CSV file: a text that is a number has an error like the number."""
    log(truth, "a", task="regression", positive=None, predicted=None, value=10.0, score=None)
    truth.flush()

    assert truth.record_label("a", "13.50") == "matched"
    assert emitted.metrics()[("ml.eval.absolute_error", *MODEL, "under")] == 3.5


def test_a_prediction_without_trace_has_an_event_without_trace(truth, emitted):
    """The event does not belong to the current span."""
    log(truth, "p1", trace_id=0, span_id=0, sampled=False)
    truth.flush()
    truth.record_label("p1", 1)
    (event,) = emitted.events()
    assert (event.trace_id, event.span_id, int(event.trace_flags)) == (0, 0, 0)


def test_classes_are_bounded(truth, emitted):
    """From the 21st on they are counted as other, and a wrong prediction of them is never counted as correct."""
    for position in range(31):
        log(truth, f"p{position}", task="multiclass", positive=None, predicted=f"c{position}", score=None)
    truth.flush()
    truth.record_labels((f"p{position}", f"c{position}") for position in range(30))
    truth.record_label("p30", "c29")
    found = {key[4:]: value for key, value in emitted.metrics().items() if key[0] == "ml.eval.outcomes"}
    assert (len(found), found["c0", "c0"], found["__other__", "__other__"]) == (402, 1, 10)
    assert found["__unseen__", "__other__"] == 1


def test_series_of_a_meter_that_never_forgets_are_bounded(truth, emitted, caplog):
    """19 binary models fill the score bins of an SDK's meter; further ones have outcomes, and one line says why."""
    for position in range(25):
        log(truth, f"p{position}", model=f"m{position:02d}")
    truth.flush()
    assert truth.record_labels((f"p{position}", 1) for position in range(25)) == {"matched": 25}
    found = emitted.metrics()
    assert len({key[1] for key in found if key[0] == "ml.eval.outcomes"}) == 25
    assert {key[1] for key in found if key[0] == "ml.eval.score_bin"} == {f"m{position:02d}" for position in range(19)}
    assert [record.message for record in caplog.records] == [
        (
            "otel-ml: ml.eval.score_bin has no room for further models or classes: the SDK of this process keeps 2,000 "
            "series of a metric and never forgets one; with otel_ml.configure() there is no such limit"
        )
    ]
    assert len(emitted.events()) == 25


def test_models_beyond_the_bound_of_such_a_meter_are_counted_together(truth, emitted, caplog):
    """A line names them; another one says that there is no room for the bins of so many."""
    for position in range(258):
        log(truth, f"p{position}", model=f"m{position}", task="regression", predicted=None, value=1.0, score=None)
    truth.flush()
    truth.record_labels((f"p{position}", 1) for position in range(258))
    found = {key[1]: value for key, value in emitted.metrics().items() if key[0] == "ml.eval.predictions"}
    assert (len(found), found["__other__"], found["m255"]) == (257, 2, 1)
    assert caplog.records[1].message == (
        "otel-ml: more than 256 models have labels at once, so the live performance of m256 1 primary is counted as "
        "__other__: the SDK of this process never forgets one"
    )


def test_scores_outside_0_to_1_have_no_bin(truth, emitted, caplog):
    """A log-odds score gets no bin; the outcome is counted."""
    for name, score in (("low", -0.1), ("high", 1.5), ("one", 1.0), ("none", None)):
        log(truth, name, score=score)
    truth.flush()
    truth.record_labels((name, 1) for name in ("low", "high", "one", "none"))
    found = emitted.metrics()
    assert {key[-1]: value for key, value in found.items() if key[0] == "ml.eval.score_bin" and value} == {"49": 1}
    assert found[("ml.eval.outcomes", *MODEL, "1", "1")] == 4
    assert "scores outside 0..1" in caplog.text


@pytest.mark.parametrize("label", [None, float("nan"), object(), [None], float("inf")])
def test_a_label_without_value_fails_without_raising(truth, label):
    """A value without canonical text is not a label."""
    assert truth.record_label("p1", label) == "failed"


@pytest.mark.parametrize("name", [None, "", object(), ["p"]])
def test_an_id_without_text_fails_without_raising(truth, name):
    """Neither labels nor predictions are stored under it; others in the batch are."""
    log(truth, name)
    log(truth, "good")
    assert (truth.record_label(name, 1), truth.flush(), truth.record_label("good", 1)) == ("failed", True, "matched")


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "'; DROP TABLE otel_ml_predictions; --", "ü" * 1000])
def test_unusual_ids_join(truth, name):
    """Lone surrogates, NUL, quotes and long texts are cleaned in the same way on both sides."""
    log(truth, name)
    truth.flush()
    assert truth.record_label(name, 1) == "matched"


def test_a_wrong_moment_fails_without_raising(truth):
    """NaN is not a moment."""
    assert truth.record_label("p1", 1, at=float("nan")) == "failed"


def test_a_long_label_waits_for_its_prediction(truth):
    """A ranking of 100 items waits like any label, and labels that differ only at the end are two."""
    label = [f"{item:032x}" for item in range(100)]
    assert truth.record_labels([("p1", label), ("p1", label), ("p1", [*label[:-1], "other"])]) == {
        "waiting": 2,
        "duplicate": 1,
    }
    assert len(truth.waiting()) == 2
    log(truth, "p1", task="ranking", classes=None, predicted='["other"]', score=None)
    assert truth.flush()
    assert truth.waiting() == []
    assert (truth.account().matched, truth.account().revised) == (1, 1)
