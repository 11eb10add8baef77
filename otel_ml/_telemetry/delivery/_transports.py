"""Chooses the transport of a signal: OTLP over HTTP or over gRPC."""

from __future__ import annotations

from otel_ml._export.transport import HttpTransport, Transport
from otel_ml.config import Signal, SignalConfig


def has_otlp(config: SignalConfig) -> bool:
    """Whether our own sender exports this signal."""
    return "otlp" in config.exporters


def make_transport(signal: Signal, config: SignalConfig) -> Transport:
    """Returns what carries the requests of one signal, by its protocol."""
    if config.protocol == "grpc":
        from otel_ml._telemetry.delivery._grpc import GrpcTransport

        return GrpcTransport(signal, config)
    return HttpTransport(signal, config)
