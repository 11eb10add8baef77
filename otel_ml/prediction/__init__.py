"""One prediction's life, from the decorator to its span, metrics and event."""

from otel_ml.prediction._context import PREDICTIONS_KEY, RequestPredictions
from otel_ml.prediction._current import current_prediction, current_redaction
from otel_ml.prediction._model import Model, track_prediction
from otel_ml.prediction._policy import Capture, Events
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._spec import PredictionStore, Role, Task

__all__ = [
    "PREDICTIONS_KEY",
    "Capture",
    "Events",
    "Model",
    "Prediction",
    "PredictionStore",
    "RequestPredictions",
    "Role",
    "Task",
    "current_prediction",
    "current_redaction",
    "track_prediction",
]
