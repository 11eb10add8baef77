"""One OTLP/gRPC request with a hard deadline, and what its answer means."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from otel_ml._export import retry
from otel_ml._export.answers import Answer, read_partial_success
from otel_ml._export.http_response import BODY_BYTES
from otel_ml._export.transport import check_files
from otel_ml._telemetry.delivery._watchdog import WATCHDOG
from otel_ml.config import ENV_OTLP, ConfigError, Signal, SignalConfig

_BROKEN: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"})
"""Codes after which the next request opens a new connection, so that our pauses apply and not gRPC's."""
_LIMITED: Final = frozenset({"RESOURCE_EXHAUSTED", "OUT_OF_RANGE"})
_TOO_LARGE: Final = re.compile(r"larger than max|too large|exceeds maximum size|exceeds limit", re.IGNORECASE)
"""How gRPC servers (C++, Go, Java, Rust) report a request over their limit: there is no code for it."""
_ANSWER_TOO_LARGE: Final = "CLIENT: Received message larger than max"
_GRACE: Final = 0.05
_METHODS: Final[dict[Signal, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_WEB_SCHEMES: Final = frozenset({"http", "https"})
_OPTIONS: Final = (
    ("grpc.primary_user_agent", "otel-ml"),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", BODY_BYTES),
)
_DETAILS: Final = "grpc-status-details-bin"
_RETRY_INFO: Final = "google.rpc.retryinfo-bin"
_PROVIDER: Final = "OTEL_PYTHON_EXPORTER_OTLP_GRPC_{}CREDENTIAL_PROVIDER"
_PROVIDERS: Final = "opentelemetry_otlp_credential_provider"

_abandoned: list[Any] = []
"""Channels of the parent: a forked child can neither use nor close them, nor leave them to the garbage collector."""


class GrpcTransport:
    """OTLP over gRPC: one kept channel, opened by the first request, no retries of its own.

    A forked child opens its own channel. Where gRPC does not support a fork (older versions of grpcio, without
    GRPC_ENABLE_FORK_SUPPORT) the child's requests still end at their deadline, and are counted as dropped.

    Raises:
        ConfigError: A file of the certificates is missing, or a credential provider is not installed.
    """

    def __init__(self, signal: Signal, config: SignalConfig) -> None:
        check_files(config)
        self.endpoint = config.address
        self._signal: Signal = signal
        self._grpc: Any = import_module("grpc")
        parts = urlsplit(config.endpoint)
        self._target = parts.netloc if parts.scheme in _WEB_SCHEMES else config.endpoint
        self._metadata = tuple((name.lower(), value) for name, value in config.headers.items())
        self._compression = self._grpc.Compression.Gzip if config.compression == "gzip" else None
        self._credentials = None if _is_insecure(signal, config.endpoint) else _credentials(self._grpc, signal, config)
        self._channel: Any = None
        self._is_orphan = False

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request; it is cancelled when the whole of it takes longer than ``timeout`` seconds."""
        try:
            with WATCHDOG.watching(monotonic() + timeout + _GRACE, self.close):
                content = self._send(body, timeout)
        except self._grpc.RpcError as error:
            return self._failed(error)
        except self._grpc.FutureTimeoutError:
            self.abandon()
            return Answer("retry", "no answer in time")
        except ValueError:  # closed by another thread between opening and sending
            return Answer("retry", "the connection was closed")
        rejected, remark = read_partial_success(self._signal, content)
        return Answer("accepted", remark, rejected)

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def abandon(self) -> None:
        self._is_orphan = True
        if self._channel is not None:
            _abandoned.append(self._channel)
            self._channel = None

    def _send(self, body: bytes, timeout: float) -> bytes:
        channel = self._channel
        if channel is None:
            channel = self._channel = self._open()
        export = channel.unary_unary(_METHODS[self._signal])
        content: bytes
        if self._is_orphan:  # gRPC's timers may not run in a forked child
            content = export.future(body, timeout=timeout, metadata=self._metadata).result(timeout + _GRACE)
        else:
            content = export(body, timeout=timeout, metadata=self._metadata)
        return content

    def _open(self) -> Any:
        if self._credentials is None:
            return self._grpc.insecure_channel(self._target, options=_OPTIONS, compression=self._compression)
        return self._grpc.secure_channel(
            self._target, self._credentials, options=_OPTIONS, compression=self._compression
        )

    def _failed(self, error: Any) -> Answer:
        code = error.code().name
        detail = f"gRPC {code}"
        wait = _retry_delay(error.trailing_metadata() or ())
        if code in _BROKEN:
            self.close()
        details = error.details() or ""
        if code in _LIMITED and wait is None and _TOO_LARGE.search(details):
            if _ANSWER_TOO_LARGE in details:
                return Answer("accepted", "with an answer that is too large to be read")
            return Answer("too_large", detail)
        if code in retry.GRPC_CODES or (code == "RESOURCE_EXHAUSTED" and wait is not None):
            return Answer("retry", detail, retry_after=wait)
        return Answer("rejected", detail, is_about_records=code == "INVALID_ARGUMENT")


def _is_insecure(signal: Signal, endpoint: str) -> bool:
    """Whether there is no TLS, by http or https or, without them, by OTEL_EXPORTER_OTLP_INSECURE (specification)."""
    scheme = urlsplit(endpoint).scheme
    if "://" in endpoint and scheme in _WEB_SCHEMES:
        return scheme == "http"
    texts = (os.environ.get(f"{ENV_OTLP}{name}INSECURE", "").strip() for name in (f"{signal.upper()}_", ""))
    return next((text for text in texts if text), "").lower() == "true"


def _credentials(grpc: Any, signal: Signal, config: SignalConfig) -> Any:
    """From the credential provider that is set for the SDK's exporter, or from the certificate files."""
    for variable in (_PROVIDER.format(f"{signal.upper()}_"), _PROVIDER.format("")):
        name = os.environ.get(variable, "").strip()
        if name:
            for entry in entry_points(group=_PROVIDERS, name=name):
                return entry.load()()
            raise ConfigError(f"{variable} names {name!r}, which is not installed: install it or remove the variable")
    return grpc.ssl_channel_credentials(
        root_certificates=_content(config.certificate),
        private_key=_content(config.client_key),
        certificate_chain=_content(config.client_certificate),
    )


def _content(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _retry_delay(trailers: Iterable[Any]) -> float | None:
    """Seconds that the receiver asks to wait, from the RetryInfo of its status; None if it does not ask."""
    from google.protobuf.message import DecodeError

    try:
        for name, value in trailers:
            info = _retry_info(name, value)
            if info is not None:
                return retry.bounded(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    except (DecodeError, TypeError):
        pass
    return None


def _retry_info(name: str, value: bytes) -> Any:
    details = import_module("google.rpc.error_details_pb2")
    if name == _RETRY_INFO:
        return details.RetryInfo.FromString(value)
    if name == _DETAILS:
        status = import_module("google.rpc.status_pb2").Status.FromString(value)
        for detail in status.details:
            info = details.RetryInfo()
            if detail.Unpack(info):
                return info
    return None
