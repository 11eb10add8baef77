"""A prediction service in one file: three lines of otel-ml make it observable."""

from __future__ import annotations

import math

from fastapi import FastAPI
from pydantic import BaseModel, Field

import otel_ml

otel_ml.configure(service_name="quickstart", logging=True)

app = FastAPI(title="otel-ml quickstart")
otel_ml.instrument_fastapi(app)


class Applicant(BaseModel):
    """The input of the model."""

    age: float = Field(ge=0, le=130)
    income: float = Field(ge=0)
    employed: bool


@otel_ml.track_prediction("loan_approval", "1.0.0", task="binary", classes=["refuse", "approve"])
def predict(features: dict[str, float]) -> dict[str, object]:
    """A logistic regression with hand-made weights; put your own model here."""
    logit = -3.0 + 0.02 * features["age"] + 0.00005 * features["income"] + 1.5 * features["employed"]
    probability = 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))
    return {"prediction": "approve" if probability >= 0.5 else "refuse", "probability": probability}


@app.post("/predict")
def predict_loan(applicant: Applicant) -> dict[str, object]:
    """Predicts; the response header `x-prediction-id` holds the prediction id."""
    return predict(applicant.model_dump())


@app.get("/healthz")
def health() -> dict[str, str]:
    """Not observed: health checks are excluded by default."""
    return {"status": "ok"}
