"""A FastAPI service around a classifier with its canary and a regression, observed by otel-ml.

    uvicorn app:app --app-dir examples/fastapi_service

Settings: EXAMPLE_FOLDER is the folder of the trained models and of the store of predictions that wait for their labels,
unless EXAMPLE_STORE is the address of a store that several replicas share (postgresql://...);
the OTEL_* variables set where the telemetry goes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import joblib
import pandas as pd
from fastapi import FastAPI, Header
from pydantic import BaseModel
from train import train, train_canary, train_progression

import otel_ml

FOLDER = Path(os.environ.get("EXAMPLE_FOLDER", "example-data"))
LAST_CODE = 17
"""The largest code of the column RELP in the training data."""
LOG = logging.getLogger("employment")
LOG.setLevel(logging.INFO)

telemetry = otel_ml.configure(service_name=os.environ.get("OTEL_SERVICE_NAME", "employment-api"))
otel_ml.instrument_logging(LOG)

model_file, profile_file = FOLDER / "model.joblib", FOLDER / "profile.json"
canary_file, progression_file = FOLDER / "canary.joblib", FOLDER / "progression.joblib"
if not model_file.exists():
    train(FOLDER)
if not canary_file.exists():
    train_canary(FOLDER)
if not progression_file.exists():
    train_progression(FOLDER)

truth = otel_ml.GroundTruth(os.environ.get("EXAMPLE_STORE") or f"sqlite:///{FOLDER / 'predictions.db'}")
employment = otel_ml.Model(
    "employment",
    version="2015.1",
    task="binary",
    classes=["0", "1"],
    trained_at=model_file.stat().st_mtime,
    profile=otel_ml.ReferenceProfile.load(profile_file),
    segments=("MIG", "DIS"),
    fairness=("RAC1P",),
    ground_truth=truth,
)
canary = otel_ml.Model(
    "employment",
    version="2015.2",
    role="canary",
    task="binary",
    classes=["0", "1"],
    trained_at=canary_file.stat().st_mtime,
    profile=otel_ml.ReferenceProfile.load(FOLDER / "canary.json"),
    ground_truth=truth,
)
progression = otel_ml.Model(
    "progression",
    version="2004.1",
    task="regression",
    trained_at=progression_file.stat().st_mtime,
    profile=otel_ml.ReferenceProfile.load(FOLDER / "progression.json"),
    segments=("sex",),
    ground_truth=truth,
)
with employment.load():
    loaded = joblib.load(model_file)
with canary.load():
    loaded_canary = joblib.load(canary_file)
with progression.load():
    loaded_progression = joblib.load(progression_file)
sampler = otel_ml.ResourceSampler(interval=float(os.environ.get("EXAMPLE_SAMPLER_SECONDS", "5")))


class Label(BaseModel):
    """The truth about one prediction, known later: a class, or a number."""

    prediction_id: str
    label: int | float


@employment.track
def predict(features: dict[str, float]) -> dict[str, Any]:
    """Makes one prediction; `track` reads the features from the first argument and the output from the result."""
    with otel_ml.current_prediction().stage("preprocess"):
        row = pd.DataFrame([features], columns=loaded["features"])
        if features.get("RELP", 0) > LAST_CODE:
            LOG.warning("the code %g of RELP is not in the training data", features["RELP"])
    with otel_ml.current_prediction().stage("predict"):
        probability = float(loaded["model"].predict_proba(row)[0, 1])
    if 0.45 < probability < 0.55:
        LOG.info("a close call at %.3f", probability)
    return {"prediction": int(probability >= 0.5), "probability": probability}


@employment.track
def predict_batch(people: pd.DataFrame) -> dict[str, Any]:
    """Makes one prediction of many rows; the label of a row has the id `<prediction id>.<row>`."""
    probabilities = loaded["model"].predict_proba(people)[:, 1]
    return {"prediction": (probabilities >= 0.5).astype(int).tolist(), "probability": probabilities.tolist()}


def predict_as_canary(features: dict[str, float], prediction_id: str | None) -> dict[str, Any]:
    """Makes the next version's prediction under the id of the primary's: one label tells which of the two is right."""
    with canary.prediction(features, id=prediction_id) as prediction:
        row = pd.DataFrame([features], columns=loaded_canary["features"])
        probability = float(loaded_canary["model"].predict_proba(row)[0, 1])
        prediction.set_output(prediction=int(probability >= 0.5), score=probability)
    return {"prediction": int(probability >= 0.5), "probability": probability}


@progression.track
def predict_progression(features: dict[str, float]) -> dict[str, float]:
    """Predicts a number; the label is one too."""
    row = pd.DataFrame([features], columns=loaded_progression["features"])
    return {"prediction": float(loaded_progression["model"].predict(row)[0])}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Runs the sampler while the service runs; writes all pending records at the end."""
    sampler.start()
    yield
    sampler.stop()
    truth.close()
    telemetry.shutdown()


app = FastAPI(title="Employment and progression", lifespan=lifespan)
otel_ml.instrument_fastapi(app)


@app.get("/healthz")
def health() -> dict[str, str | int]:
    """Answers once the service is ready; the pid shows which process it is."""
    return {"status": "ok", "pid": os.getpid()}


@app.post("/predict")
def serve(features: dict[str, float]) -> dict[str, Any]:
    """Predicts whether a person has work; the answer's header x-prediction-id names the prediction."""
    return predict(features)


@app.post("/batch")
def serve_batch(people: list[dict[str, float]]) -> dict[str, Any]:
    """Predicts the same of several people at once."""
    return predict_batch(pd.DataFrame(people, columns=loaded["features"]))


@app.post("/canary")
def serve_canary(features: dict[str, float], x_prediction_id: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    """Answers a mirrored request, which carries the id of the first answer."""
    return predict_as_canary(features, x_prediction_id)


@app.post("/progression")
def serve_progression(features: dict[str, float]) -> dict[str, float]:
    """Predicts how far the diabetes of a patient will be in a year."""
    return predict_progression(features)


@app.post("/labels")
def label(labels: list[Label]) -> dict[str, int]:
    """Records labels of earlier predictions."""
    truth.record_labels([(item.prediction_id, item.label) for item in labels])
    return {"accepted": len(labels)}
