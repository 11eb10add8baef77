"""A prediction service as a user writes it; without `configure` it is the one for zero-code instrumentation."""

from __future__ import annotations

import logging
import os

from fastapi import FastAPI

import otel_ml

app = FastAPI()
if os.environ.get("SERVED_MODE") == "own":
    otel_ml.configure(service_name="served", logging=True)
    otel_ml.instrument_fastapi(app)


@otel_ml.track_prediction("served", "1", events="all")
def predict(features):
    logging.getLogger("service").warning("predicting %d", features["x"])
    return {"prediction": 1, "score": 0.9}


@app.get("/predict/{x}")
def predict_one(x: int):
    return {"pid": os.getpid(), **predict({"x": x})}


@app.get("/healthz")
def health():
    return {}
