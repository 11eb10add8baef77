"""From training data, whole or in parts, to what a profile has."""

from __future__ import annotations

from otel_ml.quality.training._build import ProfileParts, build_with_warnings
from otel_ml.quality.training._options import FitOptions
from otel_ml.quality.training._part import TrainingPart
from otel_ml.quality.training._scan import TrainingScan

__all__ = ["FitOptions", "ProfileParts", "TrainingPart", "TrainingScan", "build_with_warnings"]
