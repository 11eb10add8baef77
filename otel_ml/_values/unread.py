"""What is counted in place of a value that has no plain copy."""

from __future__ import annotations

from typing import Final

from otel_ml._values.kinds import is_on_host, kind

UNREAD: Final = object()
"""In place of a value that was not looked at: neither counted nor missing."""
UNKNOWN: Final = object()
"""In place of a value that is there and that nothing can read: invalid, like any other value of a wrong type."""


def mark(value: object) -> object:
    """Returns what is counted in place of a value that `cell` cannot read and that is not missing."""
    family = kind(value)
    if value is UNREAD or family == "shaped" or (family == "tensor" and not is_on_host(value)):
        return UNREAD
    return UNKNOWN
