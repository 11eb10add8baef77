"""OpenTelemetry-native observability for machine-learning services."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_ml._export.ledger import Ledger
    from otel_ml._telemetry.configure import Telemetry, configure
    from otel_ml.config import Config, ConfigError
    from otel_ml.ground_truth import GroundTruth
    from otel_ml.integrations.fastapi import instrument_fastapi
    from otel_ml.integrations.logging import instrument_logging
    from otel_ml.prediction import Model, Prediction, current_prediction, track_prediction
    from otel_ml.quality import DriftScan, ProfileScan, ReferenceProfile, Schema
    from otel_ml.resource_sampler import ResourceSampler

_ROOMS = {
    "Config": "otel_ml.config",
    "ConfigError": "otel_ml.config",
    "DriftScan": "otel_ml.quality",
    "GroundTruth": "otel_ml.ground_truth",
    "Ledger": "otel_ml._export.ledger",
    "Model": "otel_ml.prediction",
    "Prediction": "otel_ml.prediction",
    "ProfileScan": "otel_ml.quality",
    "ReferenceProfile": "otel_ml.quality",
    "ResourceSampler": "otel_ml.resource_sampler",
    "Schema": "otel_ml.quality",
    "Telemetry": "otel_ml._telemetry.configure",
    "configure": "otel_ml._telemetry.configure",
    "current_prediction": "otel_ml.prediction",
    "instrument_fastapi": "otel_ml.integrations.fastapi",
    "instrument_logging": "otel_ml.integrations.logging",
    "track_prediction": "otel_ml.prediction",
}

_EXTRAS = {"instrument_fastapi": "fastapi"}
"""Names that need an extra."""

__all__ = [
    "Config",
    "ConfigError",
    "DriftScan",
    "GroundTruth",
    "Ledger",
    "Model",
    "Prediction",
    "ProfileScan",
    "ReferenceProfile",
    "ResourceSampler",
    "Schema",
    "Telemetry",
    "configure",
    "current_prediction",
    "instrument_fastapi",
    "instrument_logging",
    "track_prediction",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("otel-ml")
    if name not in _ROOMS:
        message = f"module 'otel_ml' has no attribute {name!r}"
        raise AttributeError(message)
    try:
        value = getattr(import_module(_ROOMS[name]), name)
    except ModuleNotFoundError as error:
        if name not in _EXTRAS or (error.name or "").startswith("otel_ml"):
            raise
        message = f"{name} needs {error.name}: pip install 'otel-ml[{_EXTRAS[name]}]'"
        raise ImportError(message, name=error.name) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
