"""A store in which predictions wait for their true labels; each label is counted once into the live accuracy."""

from __future__ import annotations

from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._records import State
from otel_ml.ground_truth._store import StoreError
from otel_ml.ground_truth._truth import GroundTruth

__all__ = ["GroundTruth", "LoggedPrediction", "State", "StoreError"]
