"""The prediction in the current context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import context as otel_context

from otel_ml import _process
from otel_ml.prediction._context import PREDICTION_KEY
from otel_ml.prediction._noop import NoopPrediction
from otel_ml.prediction._prediction import Prediction


def _reset_after_fork() -> None:
    """Ends, in a forked child, the predictions in progress: the parent reports them, and an id has one outcome."""
    current: Any = otel_context.get_value(PREDICTION_KEY)
    while current is not None:
        if isinstance(current, Prediction):
            current._reset_after_fork()
        # a stage knows its prediction, a prediction the span above it
        current = getattr(current, "_prediction", None) or getattr(current, "_parent", None)


_process.in_child("prediction.fork", _reset_after_fork)


def current_prediction() -> Prediction:
    """Returns the prediction in this context, or a no-op twin with the same surface."""
    current = otel_context.get_value(PREDICTION_KEY)
    return current if isinstance(current, Prediction) else NoopPrediction()


def current_redaction() -> Callable[[str], str] | None:
    """Returns a function that replaces the sensitive values of the current prediction in a text, or None."""
    current = otel_context.get_value(PREDICTION_KEY)
    return current._redact if isinstance(current, Prediction) and current._secrets else None
