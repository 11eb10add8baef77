"""Attributes of one HTTP request: bounded, clean text from input that a client chooses."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._values import line

Scope = MutableMapping[str, Any]
Attributes = dict[str, Any]

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"},
)
OTHER_METHOD: Final = "_OTHER"
"""The value of the conventions for a method that is not in `METHODS`."""
TEXT_LIMIT: Final = 256
PATH_LIMIT: Final = 1024
HEADER_LIMIT: Final = 8192
"""Bytes of a propagation header; longer ones are ignored."""
HEADER_VALUES: Final = 8
"""Values that are read if a client repeats a propagation header."""

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class RequestHeaders(NamedTuple):
    """The headers of one request that telemetry reads."""

    host: str
    agent: str
    carrier: dict[str, list[str]]
    """Propagation headers, each with all its values."""


def read_headers(scope: Scope, fields: frozenset[bytes]) -> RequestHeaders:
    """Reads host, user agent and the propagation headers in one pass.

    Header bytes are Latin-1 (RFC 9110, 5.5): every byte has a character, so that decoding cannot fail.
    """
    host = agent = ""
    carrier: dict[str, list[str]] = {}
    for name, value in scope.get("headers") or ():
        if name == b"host":
            host = host or line(value.decode("latin-1"), TEXT_LIMIT)
        elif name == b"user-agent":
            agent = agent or line(value[:TEXT_LIMIT].decode("latin-1"), TEXT_LIMIT)
        elif name in fields and len(value) <= HEADER_LIMIT:
            values = carrier.setdefault(name.decode("latin-1"), [])
            if len(values) < HEADER_VALUES:
                values.append(line(value.decode("latin-1"), HEADER_LIMIT))
    return RequestHeaders(host, agent, carrier)


def request_method(scope: Scope) -> str:
    """The request method; `OTHER_METHOD` if it is unknown."""
    method = scope.get("method")
    return method if method in METHODS else OTHER_METHOD


def span_word(method: str) -> str:
    """The method in the name of a span."""
    return "HTTP" if method == OTHER_METHOD else method


def metric_attributes(scope: Scope, method: str) -> Attributes:
    """Attributes of every HTTP metric; a client cannot choose their values freely."""
    attributes: Attributes = {semconv.HTTP_REQUEST_METHOD: method}
    scheme = scope.get("scheme")
    if scheme in _DEFAULT_PORTS:
        attributes[semconv.URL_SCHEME] = scheme
    return attributes


def span_attributes(scope: Scope, base: Attributes, headers: RequestHeaders) -> Attributes:
    """Attributes of a server span at its start, so that a sampler sees them; without the query string."""
    attributes = dict(base)
    attributes[semconv.URL_PATH] = line(scope["path"], PATH_LIMIT)
    version = scope.get("http_version")
    if version:
        attributes[semconv.NETWORK_PROTOCOL_VERSION] = line(version, TEXT_LIMIT)
    if base[semconv.HTTP_REQUEST_METHOD] == OTHER_METHOD:
        attributes[semconv.HTTP_REQUEST_METHOD_ORIGINAL] = line(scope.get("method") or "", 32)
    if headers.agent:
        attributes[semconv.USER_AGENT_ORIGINAL] = headers.agent
    client = scope.get("client")
    if client and client[0]:
        attributes[semconv.CLIENT_ADDRESS] = line(client[0], TEXT_LIMIT)
    add_server(attributes, headers.host, scope.get("server"), scope.get("scheme", ""))
    return attributes


def url(scope: Scope) -> str:
    """Returns the URL without its query, as the client wrote the host."""
    host = next((value.decode("latin-1") for name, value in scope.get("headers") or () if name == b"host"), "")
    return f"{scope.get('scheme', 'http')}://{host}{scope['path']}"


def add_server(attributes: Attributes, host: str, server: Any, scheme: str) -> None:
    """Adds the address in the Host header, or that of the server.

    Args:
        attributes: The attributes to add to.
        host: The clean Host header; empty if there is none.
        server: `server` of the scope: an address and a port, or None.
        scheme: Determines the port if the header has none.
    """
    authority = _AUTHORITY.fullmatch(host)
    if authority is not None:
        address = authority["host"].strip("[]")
        port = int(authority["port"]) if authority["port"] else _DEFAULT_PORTS.get(scheme)
    else:
        address, port = server or (None, None)
    if not address:
        return
    attributes[semconv.SERVER_ADDRESS] = line(address, TEXT_LIMIT)
    if port is not None and 0 < port < 65536:
        attributes[semconv.SERVER_PORT] = port
