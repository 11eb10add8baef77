"""One scenario of predictions that touches everything, run in own and in guest mode."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import otel_ml
from otel_ml._figures.label_bins import LabelBins
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth.storage._rows import read_rows

FRAME = {"age": [20 + index % 50 for index in range(400)], "kind": ["a", "b"] * 200, "ssn": ["s1", "s2"] * 200}


def play_all_kinds() -> otel_ml.Model:
    """Every kind of function, outcome and recording once; gives the model, whose gauges live as long as it does."""
    profile = otel_ml.ReferenceProfile.fit(FRAME, categorical=("kind", "ssn"), sensitive=("ssn",))
    model = otel_ml.Model(
        "churn",
        "2",
        role="canary",
        task="binary",
        classes=["0", "1"],
        profile=profile,
        trained_at=1_700_000_000.0,
        segments={"kind": ("a", "b"), "age": None},
        fairness=("ssn",),
    )

    @model.track
    def predict(features: dict[str, Any]) -> dict[str, Any]:
        with otel_ml.current_prediction().stage("preprocess"):
            pass
        return {"prediction": 1, "probability": 0.93}

    @model.track
    def fail(features: dict[str, Any]) -> None:
        raise ValueError(f"bad {features['ssn']}")

    @model.track
    async def later(features: dict[str, Any]) -> dict[str, Any]:
        return {"prediction": 0, "score": 0.2}

    @model.track
    def stream(features: dict[str, Any]) -> Any:
        yield "a"
        yield "b"

    @model.track
    async def cancelled(features: dict[str, Any]) -> None:
        raise asyncio.CancelledError

    row = {"age": 33, "kind": "a", "ssn": "s1"}
    predict(row)
    for call in (lambda: fail(row), lambda: asyncio.run(cancelled(row))):
        with pytest.raises((ValueError, asyncio.CancelledError)):
            call()
    asyncio.run(later({"age": None, "kind": "new", "ssn": "s2"}))
    assert list(stream(row)) == ["a", "b"]
    with model.prediction([row, row], id=["r1", "r2"]) as prediction:
        prediction.set_output(["1", "0"], [0.9, 0.1], batch=True)
    model.record(row, prediction=1, score=0.7, duration=0.25, id="from-elsewhere")
    model.record_error(TimeoutError("too late"), row)
    with model.load():
        pass
    model._handle.binding.count_unrecognised()
    return model


LABELLED: tuple[tuple[dict[str, Any], Any], ...] = (
    ({"model": "fraud", "task": "binary", "positive": "1", "classes": ("0", "1"), "predicted": "1", "score": 0.9}, 0),
    (
        {
            "model": "kind",
            "task": "multiclass",
            "classes": ("a", "b", "c"),
            "predicted": "a",
            "probabilities": (0.5, 0.3, 0.2),
        },
        "b",
    ),
    (
        {
            "model": "tags",
            "task": "multilabel",
            "classes": ("a", "b"),
            "predicted": '["a"]',
            "probabilities": (0.75, 0.5),
        },
        "a",
    ),
    ({"model": "price", "task": "regression", "value": 1.5}, 4),
    ({"model": "feed", "task": "ranking", "predicted": '["x", "y"]'}, "y"),
)
"""A prediction of each task, and its label."""
LABEL_BINS = LabelBins("p1", "number", ("0 (-inf, 3)", "1 [3, inf)"), edges=(3.0,))


def play_labels(url: str) -> None:
    """A prediction of each task and of each state that a label may have."""
    truth = otel_ml.GroundTruth(url, clock=lambda: 1000.0)
    made = LoggedPrediction("", "", "1", "primary", "", None, 940.0, None, None, None, 0, 0, False)
    for number, (fields, _) in enumerate(LABELLED):
        rows = read_rows(made._replace(id=f"p{number}", **fields))
        assert rows is not None
        bins = LABEL_BINS if fields["task"] == "regression" else None
        truth.log_rows(replace(rows, model=rows.model._replace(label_bins=bins)))
    assert truth.flush()
    for _ in range(2):
        truth.record_labels((f"p{number}", label) for number, (_, label) in enumerate(LABELLED))
    truth.record_label("unknown", 1)
    truth.close()
