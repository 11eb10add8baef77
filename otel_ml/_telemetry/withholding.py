"""Whether exception messages may leave this process."""

from __future__ import annotations

WITHHELD = "withheld: a model has sensitive columns"
"""Replaces an exception message that could quote a sensitive value."""
_withholds = False


def withhold_exceptions(*, withheld: bool = True) -> None:
    """Stops the export of exception messages in this process.

    Called for a model with sensitive columns: its exceptions also pass through spans and logs that are not ours, and
    those may be encoded after the model is gone. Only the test kit reverts it.
    """
    global _withholds
    _withholds = withheld


def withholds_exceptions() -> bool:
    """Whether exception messages are withheld."""
    return _withholds
