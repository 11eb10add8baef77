"""What the commands print: texts from files and stores cannot steer the terminal."""

from __future__ import annotations

import sys

from otel_ml._values import text

_LINE = 4096
"""Characters of one line."""


def clean(value: object) -> str:
    """The value as text of one line; control characters are marks."""
    return text(str(value), _LINE) or ""


def show(line: str) -> None:
    """Prints one line of a result."""
    print(clean(line))


def say(command: str, message: object) -> None:
    """Prints one line of the command's own on standard error."""
    print(clean(f"otel-ml {command}: {message}"), file=sys.stderr, flush=True)
