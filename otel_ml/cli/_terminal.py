"""Output of the commands: texts from files and stores cannot control the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from otel_ml._values import line

_WIDTH: Final = 4096
"""Characters of one line."""
_FIRST_COLUMN: Final = 24
"""Characters of the first column of a table, unless a name in it is longer."""


class CommandError(Exception):
    """The command cannot do what was asked; the message is the one line to show, and the exit code is 2."""


def first_column(names: Iterable[str]) -> int:
    """Returns the width of the first column of a table."""
    return max((_FIRST_COLUMN, *map(len, names)))


def show(text: str) -> None:
    """Prints one line of a result."""
    print(line(text, _WIDTH), flush=True)


def say(program: str, message: object) -> None:
    """Prints one line on standard error, after the name of the program."""
    progress(f"{program}: {message}")


def progress(text: str) -> None:
    """Prints one line on standard error, unless that is closed or its disk is full."""
    try:
        sys.stderr.write(f"{line(text, _WIDTH)}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
