"""Where one of several predictions is picked, it is the one that answers the caller.

Sources: Pulsefy/Lumenpulse#1264 and leonagoel/hybrid-recommender#398 (a shadow beside the live model).
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import otel_ml
from otel_ml.testing import InMemoryTelemetry

ROLES: list[tuple[list[Any], int]] = [
    (["shadow", "primary"], 1),
    (["primary", "shadow"], 0),
    (["shadow", "canary", "primary", "primary"], 2),
    (["shadow", "canary"], 0),
    (["primary", "primary"], 0),
]


@pytest.mark.parametrize("mode", ["own", "guest"])
@pytest.mark.parametrize("way", ["track", "block", "raw"])
@pytest.mark.parametrize(("roles", "expected"), ROLES, ids=repr)
def test_the_header_names_the_first_primary_prediction(mode: Any, way: str, roles: list[Any], expected: int) -> None:
    """The first prediction of a primary model; without one the first of all."""
    with InMemoryTelemetry(mode):
        models = [otel_ml.Model("fraud", str(version), role=role) for version, role in enumerate(roles)]
        app = FastAPI()
        undo = otel_ml.instrument_fastapi(app)
        made: list[str] = []

        def tracked(features: dict[str, Any]) -> dict[str, Any]:
            made.append(otel_ml.current_prediction().id)
            return {"prediction": 1, "probability": 0.9}

        def run(model: otel_ml.Model) -> None:
            if way == "track":
                model.track(tracked)({"a": 1})
            elif way == "block":
                with model.prediction({"a": 1}) as prediction:
                    made.append(prediction.id)
                    prediction.set_output(1)
            else:
                made.append(model.record({"a": 1}, prediction=1).id)

        @app.get("/predict")
        def predict() -> dict[str, str]:
            for model in models:
                run(model)
            return {"done": "yes"}

        async def get() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                return await client.get("/predict")

        answer = asyncio.run(get())
        undo()

    assert answer.headers["x-prediction-id"] == made[expected]
