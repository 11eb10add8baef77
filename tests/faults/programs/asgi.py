"""A FastAPI service; PLAIN leaves the integration out, so that only a signal announces the exit."""

from __future__ import annotations

import os

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

import otel_ml

telemetry = otel_ml.configure(service_name="asgi", metric_export_interval=60.0)
app = FastAPI()
if not os.environ.get("PLAIN"):
    otel_ml.instrument_fastapi(app)
model = otel_ml.Model("m", version="1", events="all", capture_features="all")


@app.get("/predict")
def predict():
    with model.prediction({"x": 1.0}) as prediction:
        prediction.set_output(prediction=1, score=0.5)
    return {}


@app.post("/echo")
async def echo(request: Request):
    first, second = await request.body(), await request.body()
    return {"bytes": len(first), "same": first == second, "sum": sum(first[:1000])}


@app.get("/stream")
async def stream():
    async def items():
        for number in range(20):
            yield f"{number}\n".encode()

    return StreamingResponse(items())


@app.get("/fails")
def fails(secret: str = ""):
    raise ValueError("of the service")


@app.get("/ledger")
def ledger():
    telemetry.force_flush(5.0)
    return {name: vars(account) for name, account in telemetry.ledger().items()}


@app.get("/healthz")
def health():
    return {}
