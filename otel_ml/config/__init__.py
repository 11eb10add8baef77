"""Settings: arguments win over OTEL_* and OTEL_ML_* variables, which win over defaults."""

from __future__ import annotations

from otel_ml.config._checks import ConfigError
from otel_ml.config._config import EXPLICIT, MAX_MODELS, Config, SignalConfig, argument_names
from otel_ml.config._environment import (
    ENV_EXCEPTION_SIGNAL,
    ENV_METRIC_INTERVAL,
    ENV_OTLP,
    ENV_PROMETHEUS_HOST,
    ENV_RESOURCE_ATTRIBUTES,
    ENV_SERVICE_NAME,
    SIGNALS,
    ExceptionSignal,
    Signal,
    exception_signal,
    is_service_link,
    read_text,
)
from otel_ml.config._record_limits import DEFAULT_LIMITS, RecordLimits
from otel_ml.config._remarks import remarks

__all__ = [
    "DEFAULT_LIMITS",
    "ENV_EXCEPTION_SIGNAL",
    "ENV_METRIC_INTERVAL",
    "ENV_OTLP",
    "ENV_PROMETHEUS_HOST",
    "ENV_RESOURCE_ATTRIBUTES",
    "ENV_SERVICE_NAME",
    "EXPLICIT",
    "MAX_MODELS",
    "SIGNALS",
    "Config",
    "ConfigError",
    "ExceptionSignal",
    "RecordLimits",
    "Signal",
    "SignalConfig",
    "argument_names",
    "exception_signal",
    "is_service_link",
    "read_text",
    "remarks",
]
