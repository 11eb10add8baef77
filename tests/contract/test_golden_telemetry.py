"""The whole telemetry of one service under a fixed clock and counted ids, compared with a file."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import otel_ml
from otel_ml.quality import Column
from otel_ml.testing import CountingIds, FixedClock, InMemoryTelemetry

GOLDEN = Path(__file__).parent / "golden"
FRAME = {"age": [20 + index % 50 for index in range(400)], "kind": ["a", "b"] * 200}


def telemetry_of_one_service() -> dict[str, Any]:
    clock = FixedClock()
    gc.collect()  # models of other tests are observed as long as they exist
    with InMemoryTelemetry(clock=clock, ids=CountingIds()) as kit:
        profile = otel_ml.ReferenceProfile.fit(FRAME, categorical=("kind",))
        model = otel_ml.Model(
            "fraud_detector",
            "1.0.0",
            task="binary",
            profile=profile,
            trained_at=1_690_000_000.0,
            id=lambda features: "rows" if isinstance(features, list) else f"person-{features['age']}",
        )

        @model.track
        def predict(features: dict[str, Any]) -> dict[str, Any]:
            with otel_ml.current_prediction().stage("preprocess"):
                clock.advance(0.002)
            clock.advance(0.004)
            return {"prediction": int(features["age"] > 40), "probability": 0.75}

        predict({"age": 41, "kind": "a"})
        predict({"age": 20, "kind": "c"})
        with model.prediction([{"age": 30, "kind": "a"}, {"age": None, "kind": "b"}]) as prediction:
            clock.advance(0.03)
            prediction.set_output([0, 1], [0.1, 0.9], batch=True)
        return {"spans": kit.spans(), "logs": kit.logs(), "instruments": kit.instruments(), "metrics": kit.metrics()}


def telemetry_by_segment() -> dict[str, Any]:
    """A service with two segment columns, one of them sensitive: the fast path, the general path, a batch, a failure."""
    clock = FixedClock()
    gc.collect()
    with InMemoryTelemetry(clock=clock, ids=CountingIds()) as kit:
        schema = otel_ml.Schema([Column("age", "number"), Column("sex", "text", sensitive=True)])
        model = otel_ml.Model(
            "fraud_detector",
            task="binary",
            classes=[0, 1],
            schema=schema,
            segments={"region": ("north", "south"), "sex": ("female", "male")},
            fairness=("sex",),
        )
        learned = otel_ml.Model("by_region", task="binary", classes=[0, 1], segments=("region",))

        def predict(features: dict[str, Any]) -> dict[str, Any]:
            clock.advance(0.004)
            return {"prediction": int(features["age"] > 40), "probability": features["age"] / 100}

        for one in (model, learned):
            for region, sex, age in (("north", "male", 41), ("west", "female", 20), ("north", None, 55)):
                one.track(predict)({"region": region, "sex": sex, "age": age})
        with model.prediction([{"age": 30, "region": "south", "sex": "male"}, {"age": None, "sex": "male"}]) as batch:
            clock.advance(0.03)
            batch.set_output([0, 1], [0.1, 0.9], batch=True)
        model.record_error(TimeoutError("too late"), {"region": "south", "sex": "female", "age": 1})
        return {"spans": kit.spans(), "logs": kit.logs(), "instruments": kit.instruments(), "metrics": kit.metrics()}


@pytest.mark.parametrize(
    ("name", "play"), [("telemetry", telemetry_of_one_service), ("segments", telemetry_by_segment)]
)
def test_telemetry_equals_the_golden_file(request: Any, name: str, play: Callable[[], dict[str, Any]]) -> None:
    """Every span, event, instrument and point is as in the file; --update-golden rewrites it, to be read as a diff."""
    actual = json.dumps(play(), indent=1, sort_keys=True) + "\n"
    file = GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(actual)

    assert json.loads(actual) == json.loads(file.read_text())
