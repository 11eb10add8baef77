"""The log record of an unhandled error, as FastAPI logs it from 0.142 on, for older versions and for Starlette."""

from __future__ import annotations

from time import time_ns

from opentelemetry import context as otel_context
from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from starlette.websockets import WebSocketDisconnect

from otel_ml import semconv
from otel_ml.integrations.fastapi._attributes import Scope
from otel_ml.integrations.logging._record_conversion import exception_attributes


def is_normal_end(scope: Scope, error: BaseException) -> bool:
    """Whether the client has closed its WebSocket, which is no error."""
    return scope["type"] == "websocket" and isinstance(error, WebSocketDisconnect) and error.code in {1000, 1001}


def log(scope: Scope, error: Exception, route: str | None) -> None:
    """Logs the error in the current context."""
    is_request = scope["type"] == "http"
    attributes = exception_attributes(type(error), error, error.__traceback__)
    if route is not None:
        attributes[semconv.HTTP_ROUTE] = route
    get_logger(semconv.SCOPE).emit(
        LogRecord(
            timestamp=time_ns(),
            context=otel_context.get_current(),
            severity_text="ERROR",
            severity_number=SeverityNumber.ERROR,
            body=f"Unhandled exception in FastAPI {'request' if is_request else 'WebSocket connection'}",
            attributes=attributes,
            event_name=semconv.REQUEST_EXCEPTION_EVENT if is_request else semconv.WEBSOCKET_EXCEPTION_EVENT,
        )
    )
