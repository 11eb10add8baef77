"""One prediction's life, from the decorator to its span, metrics and event."""

from otel_ml.prediction._context import PREDICTIONS_KEY, RequestPredictions
from otel_ml.prediction._model import Model, PredictionStore, track_prediction
from otel_ml.prediction._prediction import Prediction, current_prediction

__all__ = [
    "PREDICTIONS_KEY",
    "Model",
    "Prediction",
    "PredictionStore",
    "RequestPredictions",
    "current_prediction",
    "track_prediction",
]
