"""One OTLP request over HTTP, by the settings of its signal."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

from otel_ml._export.answers import PROTOBUF, Answer, read_http_answer
from otel_ml._export.http_client import HttpClient, make_tls
from otel_ml._export.name_lookup import Resolve
from otel_ml._export.proxies import ProxyError, find_proxy
from otel_ml.config import ENV_OTLP, ConfigError, Signal, SignalConfig

_GZIP_LEVEL: Final = 1


class Transport(Protocol):
    """Carries encoded requests; tests put one in memory here."""

    endpoint: str

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request and returns within ``timeout`` seconds; it does not raise for network errors."""
        ...

    def close(self) -> None:
        """Closes the connection, even while `post` runs; the next one opens another."""
        ...

    def abandon(self) -> None:
        """Closes this process's end only: in a forked child the connection is still the parent's."""
        ...


class HttpTransport:
    """OTLP over HTTP with protobuf bodies: one kept connection, no redirects, no retries of its own.

    Raises:
        ConfigError: A certificate or key cannot be used.
    """

    def __init__(self, signal: Signal, config: SignalConfig, *, resolve: Resolve = socket.getaddrinfo) -> None:
        check_files(config)
        self.endpoint = config.address
        self._signal: Signal = signal
        self._is_secure = config.endpoint.startswith("https:")
        self._gzip = config.compression == "gzip"
        encoding = {"content-encoding": "gzip"} if self._gzip else {}
        headers = {"content-type": PROTOBUF, "user-agent": "otel-ml", **encoding, **config.headers}
        tls = partial(make_tls, config.certificate, config.client_certificate, config.client_key)
        if self._is_secure and (config.certificate or config.client_certificate):
            try:
                tls()
            except OSError as error:
                raise ConfigError(f"the certificates for {config.address} cannot be used: {error}") from None
        self._proxy = find_proxy(config.endpoint)
        self._client = HttpClient(config.endpoint, headers, tls, resolve=resolve, proxy=self._proxy)

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request; the connection is closed when the whole of it takes longer than ``timeout`` seconds."""
        deadline = monotonic() + timeout
        if self._gzip:
            import gzip

            body = gzip.compress(body, _GZIP_LEVEL)
        try:
            response = self._client.post(body, deadline - monotonic())
        except (OSError, ValueError) as error:
            through = "" if self._proxy is None else f" (through the proxy {self._proxy.address})"
            return Answer("retry", self._cause(error) + through)
        headers = response.headers
        kind = headers.get("content-type", PROTOBUF)
        return read_http_answer(self._signal, response.status, response.body, headers.get("retry-after"), kind)

    def close(self) -> None:
        self._client.close()

    def abandon(self) -> None:
        self._client.abandon()

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return "no answer in time"
        if isinstance(error, ProxyError):
            return str(error.strerror)
        if isinstance(error, ConnectionRefusedError | socket.gaierror):
            return "connection refused or host unknown"
        if self._is_secure:
            import ssl

            if isinstance(error, ssl.SSLError):
                return "TLS failed"
        return f"connection failed ({type(error).__name__})"


def check_files(config: SignalConfig) -> None:
    """Raises `ConfigError` for a certificate or key that is not a file."""
    given = {
        "CERTIFICATE": config.certificate,
        "CLIENT_KEY": config.client_key,
        "CLIENT_CERTIFICATE": config.client_certificate,
    }
    for name, path in given.items():
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"{ENV_OTLP}{name} names {path!r}, which is not a file: correct the path or remove it")
