"""Predictions at a steady rate for some seconds."""

from __future__ import annotations

import sys
import time

import otel_ml

SECONDS, RATE = map(float, sys.argv[1:3])
telemetry = otel_ml.configure(service_name="soak", metric_export_interval=5.0)
model = otel_ml.Model("m", version="1", events="all", capture_features="all")
print("running", flush=True)
began, made = time.monotonic(), 0
while (elapsed := time.monotonic() - began) < SECONDS:
    due = int(elapsed * RATE)
    for number in range(made, due):
        with model.prediction({"x": float(number % 100), "y": "a"}) as prediction:
            prediction.set_output(prediction=number % 2, score=(number % 100) / 100)
    made = due
    time.sleep(0.002)
telemetry.shutdown(20.0)
accounts = telemetry.ledger()
print("made", made, flush=True)
print("lost", accounts["traces"].lost() + accounts["logs"].lost(), flush=True)
