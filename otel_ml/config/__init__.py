"""Settings: arguments win over OTEL_* and OTEL_ML_* variables, which win over defaults."""

from __future__ import annotations

from otel_ml.config._checks import ConfigError
from otel_ml.config._config import EXPLICIT, Config, SignalConfig, argument_names
from otel_ml.config._environment import (
    ENV_METRIC_INTERVAL,
    ENV_OTLP,
    ENV_RESOURCE_ATTRIBUTES,
    ENV_SERVICE_NAME,
    SIGNALS,
    Signal,
)
from otel_ml.config._remarks import remarks

__all__ = [
    "ENV_METRIC_INTERVAL",
    "ENV_OTLP",
    "ENV_RESOURCE_ATTRIBUTES",
    "ENV_SERVICE_NAME",
    "EXPLICIT",
    "SIGNALS",
    "Config",
    "ConfigError",
    "Signal",
    "SignalConfig",
    "argument_names",
    "remarks",
]
