"""One scenario of predictions that touches everything, run in own and in guest mode."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import otel_ml

FRAME = {"age": [20 + index % 50 for index in range(400)], "kind": ["a", "b"] * 200, "ssn": ["s1", "s2"] * 200}


def play_all_kinds() -> otel_ml.Model:
    """Every kind of function, outcome and recording once; gives the model, whose gauges live as long as it does."""
    profile = otel_ml.ReferenceProfile.fit(FRAME, categorical=("kind", "ssn"), sensitive=("ssn",))
    model = otel_ml.Model(
        "churn", "2", role="canary", task="binary", classes=["0", "1"], profile=profile, trained_at=1_700_000_000.0
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
