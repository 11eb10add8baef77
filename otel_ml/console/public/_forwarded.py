"""The address of a browser behind a proxy, and that of the proxy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PEER: Final = "otel_ml.peer"
"""The key of a scope with the address at the other end of the connection."""
_TRUSTED: Final = "FORWARDED_ALLOW_IPS"
"""The variable of uvicorn with the proxies whose headers are believed."""


class Forwarded:
    """Takes the address of a client from the headers of a trusted proxy, and keeps that of the proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Any = ProxyHeadersMiddleware(app, os.environ.get(_TRUSTED, "127.0.0.1"))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("client"):
            scope[PEER] = scope["client"][0]
        await self._app(scope, receive, send)
