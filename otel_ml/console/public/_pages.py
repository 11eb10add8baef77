"""The pages of login and logout."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from otel_ml.console.public._attempts import SECONDS, Attempts
from otel_ml.console.public._forwarded import PEER
from otel_ml.console.public._sessions import Sessions
from otel_ml.console.public._token import Token
from otel_ml.console.web._frame import is_secure

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

_HERE: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,4000}")
"""An address on this host: browsers read two slashes, or one and a backslash, as the start of another host."""
_FORM_BYTES: Final = 8192
_FORM_SECONDS: Final = 10.0


class LoginPages:
    """Asks for the token, and begins and ends logins."""

    def __init__(self, frame: Frame, token: str) -> None:
        self._frame = frame
        self.token = Token(token)
        self.sessions = Sessions(self.token)
        self._attempts = Attempts()
        self.static = f"{frame.static}/"

    def routes(self) -> list[BaseRoute]:
        """Returns the routes."""
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
        ]

    def ask(self, request: Request) -> Response:
        """Returns the page that asks for the token, in the place of the one that was asked for."""
        path = request.scope.get("raw_path", b"/") if request.method == "GET" else b"/"
        query = request.scope["query_string"]
        return self._page(401, (path + b"?" + query if query else path).decode("latin-1"))

    def _page(self, status: int, following: str, problem: str = "") -> Response:
        return self._frame.standalone("login.html", status, following=following, problem=problem)

    async def _show(self, request: Request) -> Response:
        if self.sessions.is_open(request.cookies):
            return RedirectResponse("/", 303)
        return self._page(200, "/")

    async def _log_in(self, request: Request) -> Response:
        if _is_foreign(request):
            return self._page(403, "/", "This form came from another site.")
        form = await _form(request)
        following, address = form.get("next", "/"), request.client.host if request.client else ""
        peer = request.scope.get(PEER, address)
        if not self._attempts.is_allowed(address, peer):
            answer = self._page(429, following, "Too many wrong tokens: try again in a minute.")
            answer.headers["retry-after"] = str(SECONDS)
            return answer
        if not self.token.is_token(form.get("token", "").strip()):
            self._attempts.fail(address, peer)
            return self._page(401, following, "This is not the token of this console.")
        cookie = self.sessions.begin(secure=is_secure(request))
        target = following if _HERE.fullmatch(following) else "/"
        return Response(status_code=303, headers={"location": target, "set-cookie": cookie})

    async def _log_out(self, request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        if not _is_foreign(request):
            for cookie in self.sessions.end(request.cookies):
                answer.headers.append("set-cookie", cookie)
        return answer


def _is_foreign(request: Request) -> bool:
    # not `Origin`: a proxy may change the host's name, and without referrers a form has none
    return request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}


async def _form(request: Request) -> dict[str, str]:
    """Returns the fields of a short form; none if it is longer, late or cut off."""

    async def read() -> bytes:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_BYTES:
                return b""
        return body

    try:
        body = await asyncio.wait_for(read(), _FORM_SECONDS)
        return {name: texts[0] for name, texts in parse_qs(body.decode("utf-8"), max_num_fields=10).items()}
    except (asyncio.TimeoutError, ValueError):
        return {}
