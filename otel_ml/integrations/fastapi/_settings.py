"""The settings of `instrument_fastapi`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_ml.config import ConfigError
from otel_ml.integrations.fastapi._attributes import Attributes
from otel_ml.integrations.fastapi._flush import flush_in_force
from otel_ml.integrations.fastapi._mode_binding import ModeBinding
from otel_ml.integrations.fastapi._native_telemetry import NativeSwitch
from otel_ml.integrations.fastapi._propagation import UNREAD, PropagationHeaders

ServerSpan = Callable[[str, Context, Attributes], Span]
"""Creates the server span of one request from its name, its parent context and its attributes."""

HEALTH_PATHS: Final = ("/health", "/healthz", "/livez", "/readyz", "/live", "/ready", "/ping", "/metrics")
_EXCLUDED_URLS: Final = ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS")
"""The variables that exclude URLs; the first that is set decides."""


def excluded_urls() -> re.Pattern[str] | None:
    """Returns the pattern of the URLs that the environment excludes, or None.

    Raises:
        ConfigError: It is not a regular expression.
    """
    for variable in _EXCLUDED_URLS:
        patterns = [pattern.strip() for pattern in os.environ.get(variable, "").split(",") if pattern.strip()]
        if patterns:
            try:
                return re.compile("|".join(patterns))
            except re.error as error:
                raise ConfigError(
                    f"{variable} contains an invalid regular expression ({error}): use patterns of URLs to exclude, "
                    "separated by commas"
                ) from None
    return None


@dataclass(slots=True)
class LayerSettings:
    """The settings that all layers of one application share."""

    binding: ModeBinding
    native_switch: NativeSwitch
    routes: Callable[[], Iterable[Any]]
    excluded_paths: frozenset[str] = frozenset(HEALTH_PATHS)
    excluded_urls: re.Pattern[str] | None = None
    trust_remote_context: bool = True
    allowed_baggage: Collection[str] = ()
    server_span: ServerSpan | None = None
    flush: Callable[[], object] = flush_in_force
    active: bool = True
    """False after the undo: the layer forwards every call unchanged."""
    propagation: PropagationHeaders = UNREAD
    """The headers that the global propagator reads."""

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """An application that is sent to another process reads the propagator there."""
        return None, {field.name: getattr(self, field.name) for field in fields(self)} | {"propagation": UNREAD}
