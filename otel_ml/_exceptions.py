"""The name of an exception, as `error.type` and `exception.type` carry it."""

from __future__ import annotations

from typing import Any, Final, cast

from otel_ml._guard import attempt
from otel_ml._values import line

TYPE_LIMIT: Final = 128
"""Characters kept of a name: it becomes a metric attribute."""
UNKNOWN: Final = "error"
"""The type of an error that has no readable class."""

# Descriptors of `type` itself: a metaclass cannot override them.
_module = cast("Any", type.__dict__["__module__"]).__get__
_qualname = cast("Any", type.__dict__["__qualname__"]).__get__


def exception_type(cls: type) -> str:
    """Returns the fully qualified name of an exception's class; builtin exceptions come without their module.

    Source: OpenTelemetry semantic conventions, `exception.type` and `error.type`.
    """
    return attempt(_qualified, cls) or UNKNOWN


def _qualified(cls: type) -> str:
    module, name = _module(cls), _qualname(cls)
    has_module = issubclass(type(module), str) and module != "builtins"
    return line(f"{module}.{name}" if has_module else name, TYPE_LIMIT)
