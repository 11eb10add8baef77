"""The ids under which the label of a batch's row is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from truth_rows import log

import otel_ml

FRAME = pd.DataFrame({"age": [41.0]})
INPUTS = [np.array([[41.0]]), [[41.0]], [{"age": 41.0}], FRAME, {"age": 41.0}]
RESULTS = [
    np.array([1]),
    [1],
    [[0.3, 0.7]],
    np.array([[0.3, 0.7]]),
    {"prediction": np.array([1])},
    pd.Series([1]),
    pd.DataFrame({"prediction": [1]}),
]


def by_track(model: otel_ml.Model, features: Any, result: Any) -> str:
    seen = []

    @model.track
    def predict(features: Any) -> Any:  # noqa: ARG001
        seen.append(otel_ml.current_prediction().id)
        return result

    predict(features)
    return seen[0]


def by_set_output(model: otel_ml.Model, features: Any, result: Any) -> str:
    with model.prediction(features) as prediction:
        prediction.set_output(result)
    return prediction.id


def by_set_output_of_a_batch(model: otel_ml.Model, features: Any, result: Any) -> str:
    with model.prediction(features) as prediction:
        prediction.set_output(result, batch=True)
    return prediction.id


def by_record(model: otel_ml.Model, features: Any, result: Any) -> str:
    return model.record(features, prediction=result).id


def by_record_of_a_batch(model: otel_ml.Model, features: Any, result: Any) -> str:
    return model.record(features, prediction=result, batch=True).id


METHODS = [by_track, by_set_output, by_set_output_of_a_batch, by_record, by_record_of_a_batch]


@pytest.mark.parametrize("mode", ["telemetry", "guest_telemetry"])
@pytest.mark.parametrize("record", METHODS)
def test_a_batch_of_one_answers_to_both_ids(truth, request, mode, record):
    """The id of the response header and `<id>.0` both name the only row, for any input and result; it is joined once."""
    request.getfixturevalue(mode)
    model = otel_ml.Model("m", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    ids = [
        (record(model, features, result), record(model, features, result)) for features in INPUTS for result in RESULTS
    ]
    truth.flush()
    states = [tuple(truth.record_label(name, 1) for name in (bare, f"{bare}.0", f"{row}.0", row)) for bare, row in ids]
    figures = truth.compute_metrics(0, 2e9, model="m")
    assert set(states) == {("matched", "duplicate", "matched", "duplicate")}
    assert (figures["count"], figures["accuracy"]) == (2 * len(ids), 1.0)


@pytest.mark.parametrize("names", [("b", "b.0"), ("b.0", "b")])
def test_labels_of_a_batch_of_one_may_come_first(truth, emitted, names):
    """They wait under either id; the older is joined, the newer one revises it."""
    assert [truth.record_label(name, label, at) for name, label, at in zip(names, (1, 0), (950, 960), strict=True)] == [
        "waiting",
        "waiting",
    ]
    log(truth, "b.0", batch_id="b", batch_rows=1)
    truth.flush()
    assert [truth.record_label(name, 0) for name in ("b", "b.0")] == ["duplicate", "duplicate"]
    states = {key[-1]: value for key, value in emitted.metrics().items() if key[0] == "ml.eval.labels" and value}
    assert states == {"waiting": 2, "matched": 1, "revised": 1, "duplicate": 2}


def test_a_row_with_an_id_of_its_own_answers_to_the_batch_too(truth):
    """If the caller named the row, its name and both ids of the batch lead to it."""
    log(truth, "mine", batch_id="b", batch_rows=1)
    truth.flush()
    assert [truth.record_label(name, 1) for name in ("b.0", "b", "mine")] == ["matched", "duplicate", "duplicate"]


def test_an_id_as_it_is_written_comes_before_the_whole_number_that_it_is(truth):
    """17 and 17.0 may be two orders, or a batch and its row; if nothing is called 17.0, a merge has made a float of 17."""
    log(truth, "17")
    log(truth, "17.0")
    log(truth, "18")
    truth.flush()
    names = ["17.0", "17", "18.0", "18", "18.1"]
    assert [truth.record_label(name, 1) for name in names] == ["matched", "matched", "matched", "duplicate", "waiting"]


def test_the_bare_id_of_a_larger_batch_is_logged_once(truth, emitted, caplog):
    """It names no row, before or after the batch: one line says how rows are named."""
    states = [truth.record_label("early", 1)]
    for batch in ("early", "late"):
        for index in range(3):
            log(truth, f"{batch}.{index}", batch_id=batch, batch_rows=3)
    truth.flush()
    states += [truth.record_label(name, 1) for name in ("late", "late", "late.2", "late.0")]
    assert states == ["waiting", "waiting", "duplicate", "matched", "matched"]
    counted = {key[-1]: value for key, value in emitted.metrics().items() if key[0] == "ml.eval.labels" and value}
    assert counted == {"waiting": 2, "duplicate": 1, "matched": 2}
    assert [record.message for record in caplog.records] == [
        "otel-ml: a label names a batch of several rows, and waits: label each row under its own id, <id>.0, <id>.1, ..."
    ]


def test_names_of_batches_expire(truth):
    """With a time to live they are deleted together with their rows."""
    truth._ttl = 50
    log(truth, "b.0", batch_id="b", batch_rows=1)
    truth.flush()
    truth._expire()
    assert truth.record_label("b", 1) == "waiting"
