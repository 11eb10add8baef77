"""Python's `logging`: records are sent through OpenTelemetry with trace, span and prediction id."""

from otel_ml.integrations.logging._handler import OTelHandler
from otel_ml.integrations.logging._instrument import instrument_logging

__all__ = ["OTelHandler", "instrument_logging"]
