"""Names of HTTP server requests: the stable conventions."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds of requests, as the HTTP conventions recommend."""
HTTP_SERVER_REQUEST_DURATION: Final = Metric(
    "http.server.request.duration", "histogram", "s", "Duration of HTTP server requests.", HTTP_BUCKETS
)
HTTP_SERVER_ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests", "updowncounter", "{request}", "HTTP server requests in flight."
)
REQUEST_EXCEPTION_EVENT: Final = "http.server.request.exception"
"""Name of the event of an unhandled error of a request."""
WEBSOCKET_EXCEPTION_EVENT: Final = "fastapi.websocket.exception"
"""Name of the event of an unhandled error of a WebSocket, as FastAPI names it."""
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
CLIENT_ADDRESS: Final = "client.address"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
INCOMPLETE: Final = "incomplete_response"
"""``error.type`` of a request whose application returned before its response was complete."""
