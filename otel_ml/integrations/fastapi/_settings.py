"""What `instrument_fastapi` was asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_ml.integrations.fastapi._attributes import Attributes
from otel_ml.integrations.fastapi._propagation import UNREAD, Headers
from otel_ml.integrations.fastapi._recording import Outlet, flush_in_force
from otel_ml.integrations.fastapi._route import Native

ServerSpan = Callable[[str, Context, Attributes], Span]
"""Makes the server span of one request from its name, its parent context and its attributes."""

HEALTH_PATHS: Final = ("/health", "/healthz", "/livez", "/readyz", "/live", "/ready", "/ping", "/metrics")


@dataclass(slots=True)
class Settings:
    """Shared by every layer of one application."""

    outlet: Outlet
    native: Native
    routes: Callable[[], Iterable[Any]]
    excluded_paths: frozenset[str] = frozenset(HEALTH_PATHS)
    trust_remote_context: bool = True
    allowed_baggage: Collection[str] = ()
    server_span: ServerSpan | None = None
    flush: Callable[[], object] = flush_in_force
    active: bool = True
    """False after the undo: the layer passes everything through."""
    headers: Headers = UNREAD
    """What the global propagator reads."""
