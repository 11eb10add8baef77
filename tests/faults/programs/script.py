"""A plain program that predicts until it is ended; the file COUNT holds the number of finished predictions."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import otel_ml

HOW = sys.argv[1]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
telemetry = otel_ml.configure(service_name="script", metric_export_interval=60.0)
model = otel_ml.Model("m", version="1", events="all", capture_features="all")
count_file = os.open(os.environ["COUNT"], os.O_RDWR | os.O_CREAT)


def predict(number):
    with model.prediction({"x": 1.0}) as prediction:
        prediction.set_output(prediction=1, score=0.5)
    os.pwrite(count_file, str(number).encode(), 0)


def ledger():
    accounts = telemetry.ledger()
    return json.dumps({name: vars(account) for name, account in accounts.items()})


if HOW == "replay":
    deadline = time.monotonic() + float(os.environ.get("SECONDS", "20"))
    while telemetry.ledger()["traces"].in_flight or not telemetry.ledger()["traces"].produced:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    print("ledger", ledger(), flush=True)
elif HOW in {"return", "exit", "raise"}:
    for number in range(1, 1001):
        predict(number)
    print("ready", flush=True)
    if HOW == "exit":
        sys.exit(7)
    if HOW == "raise":
        raise SystemError("the program's own")
else:
    predict(1)
    print("ready", flush=True)
    made = 1
    while True:
        made += 1
        predict(made)
        time.sleep(0.001)
