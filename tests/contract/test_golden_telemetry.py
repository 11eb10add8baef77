"""The whole telemetry of one service under a fixed clock and counted ids, compared with a file."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import otel_ml
from otel_ml.testing import CountingIds, FixedClock, InMemoryTelemetry

GOLDEN = Path(__file__).parent / "golden" / "telemetry.json"
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


def test_telemetry_equals_the_golden_file(request: Any) -> None:
    """Every span, event, instrument and point is as in the file; --update-golden rewrites it, to be read as a diff."""
    actual = json.dumps(telemetry_of_one_service(), indent=1, sort_keys=True) + "\n"
    if request.config.getoption("--update-golden"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(actual)

    assert json.loads(actual) == json.loads(GOLDEN.read_text())
