"""Checks of settings; a `ConfigError` names the setting and the remedy in one line."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

LARGEST: Final = 2**63 - 1
"""The largest signed 64-bit integer."""
IN_MS: Final = " seconds; the variable is in milliseconds"


class ConfigError(ValueError):
    """A setting that cannot be used; the message is one line that names the setting and the remedy."""

    __module__ = "otel_ml.config"


def check_choice(argument: str, variable: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raises ConfigError unless the value is one of those allowed."""
    if value not in allowed:
        raise ConfigError(f"{argument} ({variable}) is {shown(value)}: use one of {', '.join(allowed)}")


def check_range(  # noqa: PLR0913
    argument: str, variable: str, value: Any, least: float, most: float, *, unit: str = ""
) -> None:
    """Raises ConfigError unless the value is a number of this range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{argument} ({variable}) is a {type(value).__name__}: use a number")
    if not least <= value <= most:
        raise ConfigError(
            f"{argument} ({variable}) is {shown(value)}: use a number of at least {least:.15g} and at most {most:.15g}"
            f"{unit}"
        )


def check_integer(argument: str, value: Any) -> int:
    """Returns a whole number; raises ConfigError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{argument} is a {type(value).__name__}: use a whole number")
    return value


def check_type(argument: str, value: Any, types: tuple[type, ...], wanted: str) -> None:
    """Raises ConfigError unless the value is None or of one of these types."""
    if value is not None and not isinstance(value, types):
        raise ConfigError(f"{argument} is a {type(value).__name__}: use {wanted}")


def check_propagators() -> None:
    """Raises ConfigError unless the API can load the propagators that the environment names."""
    text = os.environ.get("OTEL_PROPAGATORS", "").strip()
    if text:
        try:
            import_module("opentelemetry.propagate")
        except ValueError:
            raise ConfigError(
                f"OTEL_PROPAGATORS={shown(text)} names a propagator that is not installed: install it or remove it"
            ) from None


def shown(value: Any) -> str:
    """Returns a value as bounded text of one line, for a message."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number beyond 64 bits"
    return repr(value)[:100] if isinstance(value, str | int | float) else f"a {type(value).__name__}"
