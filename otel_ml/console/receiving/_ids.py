"""Ids of traces and spans, in the writings in which senders put them into a request."""

from __future__ import annotations

import base64
import re
from typing import Final

TRACE_ID: Final = 16
"""Bytes of the id of a trace."""
SPAN_ID: Final = 8
"""Bytes of the id of a span."""
_HEX: Final = re.compile(rb"[0-9a-fA-F]+")


def valid_id(sent: bytes, size: int) -> str | None:
    """The id as hex; None if it is absent, all zero, or of a wrong length.

    Some senders put the hex digits themselves where the protocol has bytes.
    """
    if len(sent) == 2 * size and _HEX.fullmatch(sent):
        sent = bytes.fromhex(sent.decode("ascii"))
    return sent.hex() if len(sent) == size and any(sent) else None


def from_json(text: str) -> bytes:
    """The bytes of an id: hex by the protocol, base64 from encoders of plain protobuf; UUIDs have hyphens."""
    try:
        return bytes.fromhex(text.replace("-", ""))
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
