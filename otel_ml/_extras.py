"""Imports optional packages: one is missing only if that very package is not installed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

_FAILURES: Final = (ImportError, AttributeError, OSError, RuntimeError, TypeError, ValueError)
"""Errors that packages raise when they are imported with versions of others that they do not support."""


class ExtraError(ImportError):
    """An optional package cannot be imported; the message says why and, if it is missing, what to install."""


def load(module: str, extra: str, *, package: str = "") -> ModuleType:
    """Imports an optional module.

    Args:
        module: Its dotted name.
        extra: The extra that installs it.
        package: Its usual name, if that is not the top-level module.

    Raises:
        ExtraError: It is missing, or its import fails; then the message has the cause in one line.
    """
    name = package or module.partition(".")[0]
    try:
        return import_module(module)
    except _FAILURES as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (module, module.partition(".")[0]):
            raise ExtraError(f"{name} is missing: pip install 'otel-ml[{extra}]'", name=error.name) from None
        raise ExtraError(f"{name} is installed but cannot be imported: {cause(error)}", name=module) from error


def cause(error: Exception) -> str:
    """Returns why an import failed, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
