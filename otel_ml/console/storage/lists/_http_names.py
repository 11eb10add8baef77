"""What a span says of its HTTP request: by the stable names, or by the older ones that many SDKs still send."""

from __future__ import annotations

from typing import Any, Final

from otel_ml import semconv

_METHODS: Final = (semconv.HTTP_REQUEST_METHOD, "http.method")
_ROUTES: Final = (semconv.HTTP_ROUTE, semconv.URL_PATH, "http.target")
_STATUS_CODES: Final = (semconv.HTTP_RESPONSE_STATUS_CODE, "http.status_code")

STATUS_CODE: Final = (
    "coalesce(" + ", ".join(f"json_extract_string(attributes, '$.\"{name}\"')" for name in _STATUS_CODES) + ")"
)
"""The status code as SQL."""
IS_REFUSED: Final = "(" + " or ".join(f"contains(attributes, '\"{name}\":4')" for name in _STATUS_CODES) + ")"
"""Whether the status code begins with 4, as SQL that parses nothing."""


_RPC_CODES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_RPC_STATUSES: Final = {str(code): status for code, status in enumerate(_RPC_CODES)}


def rpc_status_of(attributes: Any) -> str | None:
    """Returns the status of a call by gRPC in words; None for other spans."""
    known = attributes if isinstance(attributes, dict) else {}
    status = known.get("rpc.response.status_code", known.get("rpc.grpc.status_code"))
    if isinstance(status, str) and not status.isdecimal():
        return status
    return _RPC_STATUSES.get(str(status))


def http_of(attributes: Any) -> dict[str, Any]:
    """Returns method, route (or path) and status code of a span; None for what it does not have."""
    known = attributes if isinstance(attributes, dict) else {}
    route = _first(known, _ROUTES)
    return {
        "method": _first(known, _METHODS),
        "route": route.partition("?")[0] if isinstance(route, str) else route,
        "status_code": _first(known, _STATUS_CODES),
    }


def _first(known: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((known[name] for name in names if known.get(name)), None)
