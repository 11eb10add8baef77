"""Finds known values in an encoded message, so that a template can be made of what surrounds them."""

from __future__ import annotations

from typing import Final

TRACE_ID: Final = 0x6F8D2B7AC4E19350A7D3516E9B0C48F2
SPAN_ID: Final = 0x93C5A1E7D20B684F
PARENT_ID: Final = 0xB1D4F70692A85C3E
START_NS: Final = 0x17A3C95E62D84B10
END_NS: Final = 0x17A3C95F83E95C21
"""Values to encode in place of real ones: each is unlikely to occur elsewhere in a message."""


def split_at(message: bytes, fields: list[bytes]) -> list[bytes] | None:
    """Returns the bytes before, between and after the fields; None unless all are there and in this order."""
    constants = []
    for field in fields:
        before, found, message = message.partition(field)
        if not found:
            return None
        constants.append(before)
    return [*constants, message]
