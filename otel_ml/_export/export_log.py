"""The log lines about the first hop: one when exports begin to fail, one when they work again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import Final

from otel_ml import _guard
from otel_ml._export.ledger import Ledger
from otel_ml.config import Signal

_QUIET: Final = 60.0
"""Seconds between two lines about failing exports, however often the receiver comes and goes."""

_HTTP_REMEDY: Final = (
    "Start a receiver there (`otel-ml console`, or a Collector) or set OTEL_EXPORTER_OTLP_ENDPOINT; "
    "one that speaks gRPC needs OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
)
_GRPC_REMEDY: Final = (
    "Start a Collector there or set OTEL_EXPORTER_OTLP_ENDPOINT; a receiver that speaks HTTP (`otel-ml console`) needs "
    "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, one without TLS an endpoint that begins with http://"
)


def log_losses(ledger: Mapping[str, Ledger]) -> None:
    """Logs one last line if records never reached the first hop."""
    lost = ", ".join(
        f"{signal} {account.lost()} ({_reasons(account)})" for signal, account in ledger.items() if account.lost()
    )
    if lost:
        _guard.warn(f"otel-ml: never reached the receiver: {lost}")


def _reasons(account: Ledger) -> str:
    counts = {"rejected": account.rejected, **account.dropped}
    return ", ".join(reason for reason, count in counts.items() if count)


def origin(endpoint: str) -> str:
    """Returns what the addresses of all signals at one receiver have in common."""
    return endpoint.partition("/v1/")[0]


class ExportLog:
    """Logs failures and recoveries of exports to one receiver; it is down while any of its signals fails."""

    _lock: threading.Lock
    _down: set[Signal]
    _down_since: float
    _is_logged: bool
    _logged_at: float

    def __init__(self, endpoint: str, *, grpc: bool = False) -> None:
        self._endpoint = endpoint
        self._remedy = _GRPC_REMEDY if grpc else _HTTP_REMEDY
        self._reset()

    def unreachable(self, signal: Signal, detail: str) -> None:
        """Logs that there was no answer, or one that asks for a retry."""
        now = monotonic()
        with self._lock:
            if not self._down:
                self._down_since = now
            self._down.add(signal)
            if self._is_logged or now - self._logged_at < _QUIET:
                return
            self._is_logged = True
            self._logged_at = now
        _guard.warn(
            f"otel-ml: cannot export {signal} to {self._endpoint}: {detail}; losses are counted, nothing else is "
            f"affected. {self._remedy}"
        )

    def refused(self, signal: Signal, detail: str) -> None:
        """Logs a final refusal, which a retry cannot change."""
        _guard.warn_of_loss(
            f"refused {signal} {self._endpoint} {detail}",
            f"otel-ml: {self._endpoint} refused {signal} with {detail}; such records are counted as rejected. "
            f"Check the endpoint (over HTTP its path is /v1/{signal}), OTEL_EXPORTER_OTLP_HEADERS and its log",
        )

    def too_large(self, signal: Signal, detail: str) -> None:
        """Logs that the receiver finds a request with a single record too large."""
        _guard.warn_of_loss(
            f"too large {signal} {self._endpoint}",
            f"otel-ml: {self._endpoint} finds a record of {signal} too large ({detail}); such records are dropped and "
            "counted as too_large. Raise the receiver's limit for a request",
        )

    def accepted(self, signal: Signal, rejected: int, detail: str = "") -> None:
        """Logs a recovery, and an acceptance that has a remark or left out ``rejected`` records."""
        with self._lock:
            recovered = self._down == {signal} and self._is_logged
            self._down.discard(signal)
            if recovered:
                self._is_logged = False
        if recovered:
            seconds = monotonic() - self._down_since
            _guard.warn(f"otel-ml: export to {self._endpoint} works again after {seconds:.0f} s")
        if rejected:
            _guard.warn_of_loss(
                f"partial {signal} {self._endpoint}",
                f"otel-ml: {self._endpoint} accepted {signal} only in part ({rejected} refused); check its log",
            )
        elif detail:
            _guard.warn_of_loss(
                f"warned {signal} {self._endpoint}",
                f"otel-ml: {self._endpoint} accepted {signal} {detail}; check its log",
            )

    def reset_after_fork(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._down = set()
        self._down_since = 0.0
        self._is_logged = False
        self._logged_at = float("-inf")
