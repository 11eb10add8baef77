"""Who may do what on a console with a token: senders and programs by the token, browsers by their login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from otel_ml.console.receiving import _endpoints
from otel_ml.console.receiving._otlp_http import RefusalError
from otel_ml.console.web._api import error

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from otel_ml.console.public._pages import LoginPages

_OPEN: Final = frozenset({"/healthz", "/login"})
REFUSED: Final = "this console needs its token: Authorization: Bearer <token>"


class Gate:
    """Answers requests without token and login itself, before it reads their body."""

    def __init__(self, app: ASGIApp, pages: LoginPages) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._refusal(Request(scope)) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        path = str(request.scope["path"])
        if path in _OPEN or path.startswith(self._pages.static) or self._is_known(request, path):
            return None
        if path.startswith("/v1/"):
            answer = _endpoints.refused(request, RefusalError(401, REFUSED))
        elif path.startswith("/api/"):
            answer = error(401, REFUSED)
        else:
            answer = self._pages.ask(request)
        answer.headers["www-authenticate"] = 'Bearer realm="otel-ml console"'
        return answer

    def _is_known(self, request: Request, path: str) -> bool:
        if self._pages.token.is_bearer(request.headers.get("authorization", "")):
            return True
        # a browser sends its cookie with requests that other sites make; telemetry is not written by it
        return not path.startswith("/v1/") and self._pages.sessions.is_open(request.cookies)
