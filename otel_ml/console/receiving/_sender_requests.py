"""How requests of senders differ on their way here: slashes in the address, and scripts of pages at other addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from otel_ml.console.receiving import _endpoints
from otel_ml.console.receiving._otlp_http import RefusalError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RECEIVER: Final = "/v1/"
_SLASHES: Final = re.compile("/+")
_LOOPBACK: Final = re.compile(r"(?:.+\.)?localhost|127(?:\.\d+){3}|::1")
_ASK_AGAIN: Final = "7200"
"""Seconds for which a browser remembers what it may send; it keeps no answer for longer."""

_REFUSED: Final = "without a token (--token-file) this console takes telemetry of pages on localhost only"


class SenderRequests:
    """Finds the receiver at addresses with too many slashes, and lets scripts in browsers send their telemetry.

    A browser asks first whether a page may send to another address than its own. One from loopback may: it is the work
    of the one who runs this console. With a token any page may, since it needs that as well. Others are refused here:
    a web site can point its own host name at 127.0.0.1, and then its browser does not ask.
    """

    def __init__(self, app: ASGIApp, *, has_token: bool) -> None:
        self._app = app
        self._has_token = has_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _plain_path(scope)
        if path is None:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        if not origin:
            await self._app({**scope, "path": path}, receive, send)
        elif not self._may_send(origin):
            await _endpoints.refused(Request(scope), RefusalError(403, _REFUSED))(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_permission(origin, headers))(scope, receive, send)
        else:

            async def send_readable(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).update(_readable_by(origin))
                await send(message)

            await self._app({**scope, "path": path}, receive, send_readable)

    def _may_send(self, origin: str) -> bool:
        if self._has_token:
            return True
        try:
            return _LOOPBACK.fullmatch(urlsplit(origin).hostname or "") is not None
        except ValueError:
            return False


def _plain_path(scope: Scope) -> str | None:
    """The path with single slashes if it is one of the receiver, else None."""
    if scope["type"] != "http" or scope["method"] not in {"POST", "OPTIONS"}:
        return None
    path = _SLASHES.sub("/", str(scope["path"]))
    return path.rstrip("/") if path.startswith(_RECEIVER) else None


def _permission(origin: str, asked: Headers) -> dict[str, str]:
    return {
        **_readable_by(origin),
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": asked.get("access-control-request-headers", "content-type"),
        "access-control-max-age": _ASK_AGAIN,
    }


def _readable_by(origin: str) -> dict[str, str]:
    # `sendBeacon` sends with cookies, which are not looked at here
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "retry-after",
        "vary": "origin",
    }
