"""A store in which predictions wait for their true labels; each label is counted once into the live accuracy."""

from __future__ import annotations

from otel_ml._logged_prediction import LoggedModel, LoggedPrediction, LoggedRows
from otel_ml.ground_truth._account import Account
from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth._ground_truth import GroundTruth
from otel_ml.ground_truth._records import State
from otel_ml.ground_truth.exact._segments import SegmentFigures
from otel_ml.ground_truth.storage._stored_outcomes import StoredOutcomes
from otel_ml.ground_truth.storage._waiting import WaitingLabel

__all__ = [
    "Account",
    "GroundTruth",
    "LoggedModel",
    "LoggedPrediction",
    "LoggedRows",
    "SegmentFigures",
    "State",
    "StoreError",
    "StoredOutcomes",
    "WaitingLabel",
]
