"""The path below which a proxy shows the console, such as /otel-ml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, AnyStr, Final

from starlette.datastructures import MutableHeaders

from otel_ml.console._options import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESS: Final = re.compile(rb'(\b(?:href|src|action)=")/')
"""The start of an address on a page; a quotation mark in a value is escaped."""
_COOKIE_PATH: Final = re.compile(r"(; path=)/", re.IGNORECASE)


class Prefix:
    """Takes the prefix off the paths of requests, if the proxy has not, and puts it before the addresses in answers."""

    def __init__(self, app: ASGIApp, prefix: str, routes: Iterable[Any]) -> None:
        first = prefix.split("/")[1]
        if any(route.path.split("/")[1] == first for route in routes):
            raise ConsoleError(f"--url-prefix {prefix}: /{first} is a path of the console itself; choose another")
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path, raw_path = scope["path"], scope["raw_path"]
            scope = {
                **scope,
                "path": _without(path, self._prefix, "/"),
                "raw_path": _without(raw_path, self._prefix.encode("ascii"), b"/"),
            }
            send = _PrefixedAnswer(send, self._prefix).send
        await self._app(scope, receive, send)


class _PrefixedAnswer:
    """One answer; a page is sent when all of it is known, since its length changes."""

    def __init__(self, send: Send, prefix: str) -> None:
        self._send = send
        self._prefix = prefix
        self._page: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._change_headers(message["headers"])
            if MutableHeaders(scope=message).get("content-type", "").startswith("text/html"):
                self._page = message
                return
        elif self._page is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            message["body"] = _ADDRESS.sub(rb"\g<1>" + self._prefix.encode("ascii") + b"/", self._body)
            MutableHeaders(scope=self._page)["content-length"] = str(len(message["body"]))
            await self._send(self._page)
        await self._send(message)

    def _change_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        for index, (name, value) in enumerate(headers):
            text = value.decode("latin-1")
            if name == b"location" and text.startswith("/"):
                headers[index] = (name, f"{self._prefix}{text}".encode("latin-1"))
            elif name == b"set-cookie":
                headers[index] = (name, _COOKIE_PATH.sub(rf"\g<1>{self._prefix}/", text).encode("latin-1"))


def _without(path: AnyStr, prefix: AnyStr, root: AnyStr) -> AnyStr:
    return path[len(prefix) :] or root if path == prefix or path.startswith(prefix + root) else path
