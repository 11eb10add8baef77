"""One OTLP/HTTP request with a hard deadline, and what its answer means."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from socket import SHUT_RDWR, socket
from time import monotonic, time
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import urllib3
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from urllib3.connection import HTTPConnection, HTTPSConnection

from otel_ml.config import ENV_OTLP, ConfigError, Signal, SignalConfig

RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""The statuses that the OTLP specification allows to retry; every other failure is final."""
ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of an answer that are read."""
_GZIP_LEVEL: Final = 1
_GRACE: Final = 0.05
"""Seconds after the deadline at which a connection that still drips is cut."""

_RESPONSES: Final[dict[Signal, tuple[Callable[[], Any], str]]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}


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

    def __init__(self, signal: Signal, config: SignalConfig) -> None:
        _check_files(config)
        self.endpoint = config.endpoint
        self._signal: Signal = signal
        self._config = config
        self._gzip = config.compression == "gzip"
        self._headers = {
            "content-type": "application/x-protobuf",
            "user-agent": "otel-ml",
            **({"content-encoding": "gzip"} if self._gzip else {}),
            **config.headers,
        }
        parts = urlsplit(config.endpoint)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._socket: list[socket | None] = [None]
        self._pool = _pool(config, self._socket)

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request; the connection is cut when the whole of it takes longer than ``timeout`` seconds."""
        payload = gzip.compress(body, _GZIP_LEVEL) if self._gzip else body
        kept = self._socket[0] is not None
        deadline = monotonic() + timeout
        cutter = threading.Timer(timeout + _GRACE, _cut, args=(self._socket,))
        cutter.daemon = True
        try:
            cutter.start()
        except RuntimeError:
            pass  # no new threads while the interpreter ends; the socket's own timeout still holds
        try:
            response = self._pool.urlopen(
                "POST",
                self._path,
                body=payload,
                headers=self._headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(total=timeout),
                preload_content=False,
            )
            return self._read(response)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.abandon()
            late = monotonic() >= deadline
            return Answer("retry", "no answer in time" if late else _cause(error), resend=kept and not late)
        finally:
            cutter.cancel()

    def close(self) -> None:
        _cut(self._socket)
        self.abandon()

    def abandon(self) -> None:
        self._socket[0] = None
        self._pool.close()
        self._pool = _pool(self._config, self._socket)

    def _read(self, response: urllib3.BaseHTTPResponse) -> Answer:
        content = response.read(ANSWER_LIMIT, decode_content=False)
        if len(content) >= ANSWER_LIMIT:
            response.close()
            self._socket[0] = None
        else:
            response.release_conn()
        return answer(self._signal, response.status, content, response.headers.get("retry-after"))


def _check_files(config: SignalConfig) -> None:
    given = {
        "CERTIFICATE": config.certificate,
        "CLIENT_KEY": config.client_key,
        "CLIENT_CERTIFICATE": config.client_certificate,
    }
    for name, path in given.items():
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"{ENV_OTLP}{name} names {path!r}, which is no file: correct the path or remove it")


def answer(signal: Signal, status: int, content: bytes, retry_after: str | None = None) -> Answer:
    """Reads an OTLP/HTTP answer by the specification's table."""
    if 200 <= status < 300:
        return Answer("accepted", rejected=_partial(signal, content))
    detail = f"HTTP {status}"
    if status in RETRYABLE:
        return Answer("retry", detail, retry_after=_seconds(retry_after))
    if status == 413:
        return Answer("too_large", detail)
    return Answer("rejected", detail)


def _partial(signal: Signal, content: bytes) -> int:
    make, name = _RESPONSES[signal]
    message: Message = make()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return 0
    return int(getattr(message.partial_success, name))  # type: ignore[attr-defined]


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError):
        return None


def _cause(error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "connection refused or host unknown"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "TLS failed"
    return f"connection failed ({type(error).__name__})"


def _cut(holder: list[socket | None]) -> None:
    live = holder[0]
    if live is None:
        return
    try:
        live.shutdown(SHUT_RDWR)
    except OSError:
        pass  # closed meanwhile: the request has ended


def _pool(config: SignalConfig, holder: list[socket | None]) -> urllib3.HTTPConnectionPool:
    parts = urlsplit(config.endpoint)
    host = parts.hostname or "localhost"

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            holder[0] = self.sock

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            holder[0] = self.sock

    if parts.scheme == "http":
        plain = urllib3.HTTPConnectionPool(host, parts.port, maxsize=1, block=False)
        plain.ConnectionCls = Plain
        return plain
    secure = urllib3.HTTPSConnectionPool(
        host,
        parts.port,
        maxsize=1,
        block=False,
        cert_reqs="CERT_REQUIRED",
        ca_certs=config.certificate,
        key_file=config.client_key,
        cert_file=config.client_certificate,
    )
    secure.ConnectionCls = Secure
    return secure
