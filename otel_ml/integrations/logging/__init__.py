"""Python's `logging`: records leave through OpenTelemetry with trace, span and prediction id."""

from otel_ml.integrations.logging._handler import instrument_logging

__all__ = ["instrument_logging"]
