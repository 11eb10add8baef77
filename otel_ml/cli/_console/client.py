"""Reads a console over HTTP, with its token if it has one."""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from otel_ml import semconv
from otel_ml.cli._terminal import CommandError

_TIMEOUT: Final = 60.0
"""Seconds for one answer."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Query = Sequence[tuple[str, str]]


def _host(address: str) -> str | None:
    """Returns the host of an HTTP address; None if it is no such address."""
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:  # also for a port above 65535
        return None
    return parts.hostname if is_usable else None


class ConsoleRefusal(CommandError):  # noqa: N818 - an answer, not a failure of the console
    """The console answers, but not with what was asked for."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def add_token(parser: argparse._ActionsContainer) -> None:
    """Adds ``--token-file``."""
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with the token of the console, if it needs one (default: {semconv.ENV_CONSOLE_TOKEN})",
    )


class ConsoleClient:
    """A console at an address."""

    def __init__(self, address: str, flag: str, token_file: Path | None = None) -> None:
        host = _host(address)
        if host is None:
            raise CommandError(f"{flag} takes an address such as http://127.0.0.1:4318, not {address!r}")
        self.address = address.rstrip("/")
        self._flag = flag
        token = _token(token_file)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        # a proxy reaches other hosts only
        proxies = [urllib.request.ProxyHandler({})] if host in _LOOPBACK else []
        self._opener = urllib.request.build_opener(_NoRedirects, *proxies)

    def get(self, path: str, query: Query = ()) -> tuple[dict[str, str], bytes]:
        """Returns headers, with names in lower case, and body.

        Raises:
            CommandError: No console answers, or not with what was asked for; the message is one line.
        """
        url = f"{self.address}{path}{'?' if query else ''}{urlencode(query)}"
        try:
            request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - the scheme was checked
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return {name.lower(): text for name, text in answer.headers.items()}, bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except HTTPException as error:
            raise self.stranger() from error
        except (OSError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            what = getattr(reason, "strerror", None) or reason
            remedy = f"start `otel-ml console`, or give its address with {self._flag}"
            raise CommandError(f"no console answers at {self.address}: {what}; {remedy}") from error

    def json(self, path: str, query: Query = ()) -> dict[str, Any]:
        """Returns an answer of the API."""
        try:
            found = json.loads(self.get(path, query)[1])
        except ValueError as error:
            raise self.stranger() from error
        if not isinstance(found, dict):
            raise self.stranger()
        return found

    def stranger(self) -> CommandError:
        """Returns the error for an answer that is not of a console."""
        return CommandError(f"no console answers at {self.address}: another service does")

    def _refusal(self, error: urllib.error.HTTPError) -> CommandError:
        if error.code == 401:
            remedy = f"--token-file FILE or {semconv.ENV_CONSOLE_TOKEN}"
            what = "refuses the token" if self._headers else "needs its token"
            return ConsoleRefusal(f"the console at {self.address} {what}: {remedy}", 401)
        try:
            said = json.load(error)["error"]
        except (OSError, ValueError, LookupError, TypeError, HTTPException):
            said = error.reason
        message = str(said) if error.code == 400 else f"{self.address} answers {error.code}: {said}"
        return ConsoleRefusal(message, error.code)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect to the caller: the token is for one host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follows none."""


def _token(file: Path | None) -> str:
    source = semconv.ENV_CONSOLE_TOKEN if file is None else f"--token-file {file}"
    try:
        text = os.environ.get(semconv.ENV_CONSOLE_TOKEN, "") if file is None else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {source}: {getattr(error, 'strerror', None) or 'no text'}") from error
    token = text.strip()
    if not token.isascii() or len(token.split()) > 1 or (file is not None and not token):
        raise CommandError(f"{source}: expected one line with the token")
    return token
