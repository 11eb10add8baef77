"""What the operator is told about the first hop: one line when exports begin to fail, one when they work again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import Final

from otel_ml import _guard
from otel_ml._telemetry.delivery.ledger import Ledger
from otel_ml.config import Signal

_QUIET: Final = 60.0
"""Seconds between two lines about failing exports, however often the receiver comes and goes."""

_HTTP_REMEDY: Final = (
    "Start a receiver there (`otel-ml console`, or a Collector) or set OTEL_EXPORTER_OTLP_ENDPOINT; "
    "one that speaks gRPC wants OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
)
_GRPC_REMEDY: Final = (
    "Start a Collector there or set OTEL_EXPORTER_OTLP_ENDPOINT; a receiver that speaks HTTP (`otel-ml console`) wants "
    "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, one without TLS an endpoint that begins with http://"
)


def say_lost(ledger: Mapping[str, Ledger]) -> None:
    """One last line at the end of an engine, if records of it never reached the first hop."""
    lost = ", ".join(
        f"{signal} {account.lost()} ({_why(account)})" for signal, account in ledger.items() if account.lost()
    )
    if lost:
        _guard.warn(f"otel-ml: never reached the receiver: {lost}")


def _why(account: Ledger) -> str:
    reasons = {"rejected": account.rejected, **account.dropped}
    return ", ".join(reason for reason, count in reasons.items() if count)


class Health:
    """The state of one receiver, shared by the signals that go to it: it is down while any of them fails."""

    def __init__(self, endpoint: str, *, grpc: bool = False) -> None:
        self._endpoint = endpoint
        self._remedy = _GRPC_REMEDY if grpc else _HTTP_REMEDY
        self._lock = threading.Lock()
        self._down: set[Signal] = set()
        self._down_since = 0.0
        self._said = False
        self._last_said = float("-inf")

    def unreachable(self, signal: Signal, detail: str) -> None:
        """No answer, or one that asks to come again."""
        now = monotonic()
        with self._lock:
            if not self._down:
                self._down_since = now
            self._down.add(signal)
            if self._said or now - self._last_said < _QUIET:
                return
            self._said = True
            self._last_said = now
        _guard.warn(
            f"otel-ml: cannot export {signal} to {self._endpoint}: {detail}; the service goes on, losses are counted. "
            f"{self._remedy}"
        )

    def refused(self, signal: Signal, detail: str) -> None:
        """An answer that is final: retrying cannot help."""
        _guard.warn_of_loss(
            f"refused {signal} {self._endpoint} {detail}",
            f"otel-ml: {self._endpoint} refused {signal} with {detail}; such records are counted as rejected. "
            f"Check the endpoint (over HTTP its path is /v1/{signal}), OTEL_EXPORTER_OTLP_HEADERS and its log",
        )

    def too_large(self, signal: Signal, detail: str) -> None:
        """One record alone is more than the receiver takes."""
        _guard.warn_of_loss(
            f"too large {signal} {self._endpoint}",
            f"otel-ml: {self._endpoint} finds a record of {signal} too large ({detail}); such records are dropped and "
            "counted as too_large. Raise the receiver's limit for a request",
        )

    def accepted(self, signal: Signal, rejected: int, detail: str = "") -> None:
        """An answer that took the request; ``rejected`` records of it were refused."""
        with self._lock:
            recovered = self._down == {signal} and self._said
            self._down.discard(signal)
            if recovered:
                self._said = False
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
        self._lock = threading.Lock()
        self._down = set()
        self._said = False
        self._last_said = float("-inf")
