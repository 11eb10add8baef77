"""The context key that suppresses OTel instrumentation, so that our own work makes no telemetry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as otel_context

_KEY: Final = "suppress_instrumentation"


def suppress_here() -> None:
    """Suppresses instrumentation on this thread for good; called on our own threads."""
    otel_context.attach(otel_context.set_value(_KEY, True))


@contextmanager
def suppressed() -> Iterator[None]:
    """Suppresses instrumentation inside the block."""
    token = otel_context.attach(otel_context.set_value(_KEY, True))
    try:
        yield
    finally:
        otel_context.detach(token)


def is_suppressed() -> bool:
    """Whether instrumentation is suppressed here, by us or by anyone else."""
    return bool(otel_context.get_value(_KEY))
