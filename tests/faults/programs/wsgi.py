"""A WSGI service as gunicorn's sync workers serve it."""

from __future__ import annotations

import otel_ml

otel_ml.configure(service_name="wsgi", metric_export_interval=60.0)
model = otel_ml.Model("m", version="1", events="all", capture_features="all")


def application(environ, start_response):
    if environ["PATH_INFO"] != "/healthz":
        with model.prediction({"x": 1.0}) as prediction:
            prediction.set_output(prediction=1, score=0.5)
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "2")])
    return [b"ok"]
