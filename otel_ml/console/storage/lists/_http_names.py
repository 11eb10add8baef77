"""What a span says of its HTTP request: by the stable names, or by the older ones that many SDKs still send.

A call by gRPC has a status of its own, which counts as the code of HTTP that stands for it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from otel_ml import semconv

_METHODS: Final = (semconv.HTTP_REQUEST_METHOD, "http.method")
_ROUTES: Final = (semconv.HTTP_ROUTE, semconv.URL_PATH, "http.target")
_STATUS_CODES: Final = (semconv.HTTP_RESPONSE_STATUS_CODE, "http.status_code")

_DIGITS: Final = 3
_RPC_STATUS_CODES: Final = ("rpc.response.status_code", "rpc.grpc.status_code")
_STATUS_CODE: Final = (
    "coalesce(" + ", ".join(f"json_extract_string(attributes, '$.\"{name}\"')" for name in _STATUS_CODES) + ")"
)
_HTTP_CODES: Final = {
    "OK": 200, "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip
"""The statuses of gRPC in the order of their numbers, with the codes that gateways answer for them."""
_RPC_CODES: Final = tuple(_HTTP_CODES)
_RPC_STATUSES: Final = {str(code): status for code, status in enumerate(_RPC_CODES)}


def rpc_status_of(attributes: Any) -> str | None:
    """Returns the status of a call by gRPC in words; None for other spans."""
    known = attributes if isinstance(attributes, dict) else {}
    status = next((known[name] for name in _RPC_STATUS_CODES if name in known), None)
    if isinstance(status, str) and not status.isdecimal():
        return status
    return _RPC_STATUSES.get(str(status))


def _rpc_condition(begin: str) -> str | None:
    """Returns the SQL condition on spans whose status of gRPC stands for a code that begins so; None if none does."""
    found = [
        each
        for number, (status, code) in enumerate(_HTTP_CODES.items())
        if str(code).startswith(begin)
        for each in (str(number), status)
    ]
    names = "|".join(map(re.escape, _RPC_STATUS_CODES))
    # nothing is parsed, and few spans are searched
    pattern = f'"(?:{names})":"?(?:{"|".join(found)})[",}}]'
    return f"(contains(attributes, '\"rpc.') and regexp_matches(attributes, '{pattern}'))" if found else None


def status_condition(begin: str) -> tuple[str, str]:
    """Returns the SQL condition on spans whose status code begins so, with its parameter."""
    by_http, by_rpc = f"starts_with({_STATUS_CODE}, ?)", _rpc_condition(begin)
    return (by_http if by_rpc is None else f"({by_http} or {by_rpc})"), begin


IS_REFUSED: Final = "(" + " or ".join(
    [
        *(f"contains(attributes, '\"{name}\":{mark}4')" for name in _STATUS_CODES for mark in ("", '"')),
        _rpc_condition("4") or "false",
    ]
) + ")"  # fmt: skip
"""Whether the status code begins with 4, as SQL that parses nothing."""


def http_of(attributes: Any) -> dict[str, Any]:
    """Returns method, route (or path) and status code of a span; None for what it does not have."""
    known = attributes if isinstance(attributes, dict) else {}
    route = _first(known, _ROUTES)
    return {
        "method": _first(known, _METHODS),
        "route": route.partition("?")[0] if isinstance(route, str) else route,
        "status_code": _whole(_first(known, _STATUS_CODES)),
    }


def _whole(code: Any) -> Any:
    # proxies send all that they know as text
    return int(code) if isinstance(code, str) and code.isdecimal() and len(code) == _DIGITS else code


def _first(known: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((known[name] for name in names if known.get(name)), None)
