"""Logins of browsers: a signed cookie with an end, so that they outlive a restart of the console."""

from __future__ import annotations

import hmac
import secrets
import time
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_ml.console.public._token import Token

SECONDS: Final = 7 * 86_400
"""A login ends after this time."""


class Sessions:
    """Makes, checks and ends logins."""

    def __init__(self, token: Token, clock: Callable[[], float] = time.time) -> None:
        self._token = token
        self._clock = clock
        self._ended: dict[str, int] = {}
        # ports of a host share cookies, and a page over http cannot replace one of https
        self._name = f"otel-ml-{token.sign('name')[:12]}"

    def begin(self, *, secure: bool) -> str:
        """Returns the header `Set-Cookie` of a new login."""
        text = f"{int(self._clock()) + SECONDS}.{secrets.token_hex(16)}"
        return self._cookie(f"{text}.{self._signature(text)}", SECONDS, secure=secure)

    def is_open(self, cookies: Mapping[str, str]) -> bool:
        """Whether one of the cookies is a login that has not ended."""
        return any(self._is_valid(cookies.get(name, "")) for name in self._names())

    def end(self, cookies: Mapping[str, str]) -> list[str]:
        """Ends the logins of the cookies, and returns the headers `Set-Cookie` that remove them."""
        removed, now = [], int(self._clock())
        self._ended = {text: until for text, until in self._ended.items() if until > now}
        for name in self._names():
            if self._is_valid(cookies.get(name, "")):
                self._ended[cookies[name]] = int(cookies[name].partition(".")[0])
                removed.append(self._cookie("", 0, secure=name.endswith("-s")))
        return removed

    def _names(self) -> tuple[str, str]:
        return self._name, f"{self._name}-s"

    def _is_valid(self, cookie: str) -> bool:
        text, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._signature(text).encode(), signature.encode("utf-8", "surrogateescape")):
            return False
        return int(text.partition(".")[0]) > self._clock() and cookie not in self._ended

    def _signature(self, text: str) -> str:
        return self._token.sign(f"login {text}")

    def _cookie(self, value: str, seconds: int, *, secure: bool) -> str:
        name = self._names()[secure]
        cookie: SimpleCookie = SimpleCookie({name: value})
        settings = {"path": "/", "max-age": str(seconds), "httponly": True, "samesite": "Lax", "secure": secure}
        for key, setting in settings.items():
            cookie[name][key] = setting
        return cookie[name].OutputString()
