"""FastAPI: one server span for each request, the stable HTTP metrics, and the prediction id in the response."""

from otel_ml.integrations.fastapi._instrument import instrument_fastapi
from otel_ml.integrations.fastapi._settings import HEALTH_PATHS, ServerSpan

__all__ = ["HEALTH_PATHS", "ServerSpan", "instrument_fastapi"]
