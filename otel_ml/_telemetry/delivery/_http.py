"""One OTLP/HTTP request with a hard deadline, and what its answer means."""

from __future__ import annotations

import gzip
import re
import socket
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import monotonic, time
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import urllib3

from otel_ml._telemetry.delivery import _answers, _connection
from otel_ml._telemetry.delivery._connection import Line, Lookup
from otel_ml._telemetry.delivery._watchdog import WATCHDOG
from otel_ml.config import ENV_OTLP, ConfigError, Signal, SignalConfig

RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""The statuses that the OTLP specification allows to retry; every other failure is final."""
ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer that are read."""
_GZIP_LEVEL: Final = 1
_GRACE: Final = 0.05
"""Seconds after the deadline at which a connection that still drips is cut."""
_NETWORK_ERRORS: Final = (urllib3.exceptions.HTTPError, OSError, ValueError)
_PROTOBUF: Final = "application/x-protobuf"


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    kind: Literal["accepted", "rejected", "retry", "too_large"]
    detail: str = ""
    """What to tell the operator, without any of the payload."""
    rejected: int = 0
    """Records that an accepting receiver refused (partial success)."""
    retry_after: float | None = None
    """Seconds that the receiver asked to wait."""
    resend: bool = False
    """A kept connection had gone stale: worth one immediate second try."""


class Transport(Protocol):
    """What carries encoded requests; tests put one in memory here."""

    endpoint: str

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request and returns within ``timeout`` seconds; it does not raise for what the network does."""

    def close(self) -> None:
        """Cuts the connection, also under a running `post`; a later one opens a new one."""

    def abandon(self) -> None:
        """Closes this process's end only: in a forked child the connection is still the parent's."""


class HttpTransport:
    """OTLP over HTTP with protobuf bodies: one kept connection, no redirects, no retries of its own."""

    def __init__(self, signal: Signal, config: SignalConfig, *, lookup: Lookup = socket.getaddrinfo) -> None:
        check_files(config)
        self.endpoint = config.endpoint
        self._signal: Signal = signal
        self._gzip = config.compression == "gzip"
        self._headers = {
            "content-type": _answers.PROTOBUF,
            "user-agent": "otel-ml",
            **({"content-encoding": "gzip"} if self._gzip else {}),
            **config.headers,
        }
        self._parts = urlsplit(config.endpoint)
        self._path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        self._tls = {
            "ca_certs": config.certificate,
            "key_file": config.client_key,
            "cert_file": config.client_certificate,
        }
        self._line = Line(lookup)
        self._pool = _connection.pool(self._parts, self._line, **self._tls)

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request; the connection is cut when the whole of it takes longer than ``timeout`` seconds."""
        deadline = monotonic() + timeout
        payload = gzip.compress(body, _GZIP_LEVEL) if self._gzip else body
        kept = self._line.is_open
        self._line.deadline = deadline
        try:
            with WATCHDOG.watching(deadline + _GRACE, self._line.cut):
                response = self._pool.urlopen(
                    "POST",
                    self._path,
                    body=payload,
                    headers=self._headers,
                    retries=False,
                    redirect=False,
                    timeout=urllib3.Timeout(total=max(timeout, _GRACE)),
                    preload_content=False,
                )
                content = self._read(response)
        except _NETWORK_ERRORS as error:
            self._close()
            late = monotonic() >= deadline
            return Answer("retry", "no answer in time" if late else _cause(error), resend=kept and not late)
        kind = response.headers.get("content-type", _answers.PROTOBUF)
        return answer(self._signal, response.status, content, response.headers.get("retry-after"), kind)

    def close(self) -> None:
        self._line.cut()
        self._close()

    def abandon(self) -> None:
        self._line.abandon()
        self._close()

    def _close(self) -> None:
        self._line.forget()
        self._pool.close()
        self._pool = _connection.pool(self._parts, self._line, **self._tls)

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The answer's body up to the limit; what cannot be read is empty, since the status says enough."""
        try:
            content = response.read(ANSWER_LIMIT, decode_content=False)
        except _NETWORK_ERRORS:
            content = None
        if content is None or len(content) >= ANSWER_LIMIT:
            response.close()
            self._close()
            return content or b""
        response.release_conn()
        return content


def check_files(config: SignalConfig) -> None:
    """Raises `ConfigError` for a certificate or key that is no file."""
    given = {
        "CERTIFICATE": config.certificate,
        "CLIENT_KEY": config.client_key,
        "CLIENT_CERTIFICATE": config.client_certificate,
    }
    for name, path in given.items():
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"{ENV_OTLP}{name} names {path!r}, which is no file: correct the path or remove it")


def answer(
    signal: Signal, status: int, content: bytes, retry_after: str | None = None, kind: str = _answers.PROTOBUF
) -> Answer:
    """Reads an OTLP/HTTP answer by the specification's table.

    A web page with a 2xx status is no acceptance: it counts as rejected, and is not tried again, as the table has it
    for all but four statuses. Other bodies of a 2xx answer are read as `_said.read` tells.
    """
    if 200 <= status < 300:
        if _answers.is_page(content):
            return Answer("rejected", f"HTTP {status} and a web page: this is no OTLP receiver, or a proxy answers")
        said = _answers.read(signal, content, kind)
        return Answer("accepted", said.remark, rejected=said.rejected)
    detail = f"HTTP {status}"
    if status in RETRYABLE:
        return Answer("retry", detail, retry_after=_seconds(retry_after))
    if status == 413:
        return Answer("too_large", detail)
    return Answer("rejected", detail)


def _seconds(text: str | None) -> float | None:
    """Both forms of Retry-After: digits, or a date; anything else is None, and our own pauses hold."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+", text.strip()):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def _cause(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection refused or host unknown"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "TLS failed"
    return f"connection failed ({type(error).__name__})"
