"""The name of an exception, as `error.type` and `exception.type` carry it; and whether it has its log record."""

from __future__ import annotations

from typing import Any, Final, cast

from otel_ml._guard import attempt
from otel_ml._values import line

TYPE_LIMIT: Final = 128
"""Characters kept of a name: it becomes a metric attribute."""
UNKNOWN: Final = "error"
"""The type of an error that has no readable class."""

_LOGGED: Final = "__otel_ml_logged__"

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


def mark_logged(error: BaseException) -> None:
    """Marks the exception as logged, so that the server's own line about it is not exported a second time."""
    attempt(BaseException.__setattr__, error, _LOGGED, True)


def is_logged(error: object) -> bool:
    """Whether `mark_logged` was called for it."""
    return attempt(object.__getattribute__, error, _LOGGED) is True
