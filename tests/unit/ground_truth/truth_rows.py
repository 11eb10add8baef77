"""Predictions to log."""

from __future__ import annotations

from dataclasses import replace

from otel_ml.ground_truth import LoggedPrediction

LOGGED = LoggedPrediction(
    id="",
    model="fraud",
    version="1",
    role="primary",
    task="binary",
    positive="1",
    predicted_at=940.0,
    predicted="1",
    value=None,
    score=0.93,
    trace_id=0xABC,
    span_id=0xDEF,
    sampled=True,
)


def log(truth, name, **changes):
    """Logs a binary prediction made at 940 with class 1 and score 0.93."""
    truth.log_prediction(LOGGED._replace(id=name, **changes))


COLUMNS = ("ids", "predicted_at", "predicted", "values", "scores", "trace_ids", "span_ids", "sampled")


def join(parts):
    """Rows of one model, from parts of them."""
    parts = list(parts)
    return replace(parts[0], **{name: [each for part in parts for each in getattr(part, name)] for name in COLUMNS})
