"""Output of the commands: texts from files and stores cannot steer the terminal."""

from __future__ import annotations

import sys
from typing import Final

_LINE: Final = 4096
"""Characters of one line."""


class CommandError(Exception):
    """The command cannot do what was asked; the message is the one line to show, and the exit code is 2."""


def clean(value: object) -> str:
    """The value as text of one line; what Unicode calls unprintable becomes U+FFFD."""
    text = str(value)[:_LINE]
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def show(line: str) -> None:
    """Prints one line of a result."""
    print(clean(line))


def say(program: str, message: object) -> None:
    """Prints one line on standard error, after the name of the program."""
    progress(f"{program}: {message}")


def progress(line: str) -> None:
    """Prints one line on standard error, unless that is closed or its disk is full."""
    try:
        sys.stderr.write(f"{clean(line)}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
