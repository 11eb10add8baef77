"""The form in which scans travel: compressed JSON with a format and its version."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from otel_ml.quality._feature import ProfileError

_LEVEL: Final = 1
"""Of compression: higher levels take several times as long and save a tenth."""


def pack(form: str, version: int, content: Mapping[str, Any]) -> bytes:
    """Returns content as bytes; equal content has equal bytes."""
    text = json.dumps({"format": form, "format_version": version, **content}, sort_keys=True, separators=(",", ":"))
    return zlib.compress(text.encode(), _LEVEL)


def unpack(form: str, version: int, packed: bytes) -> dict[str, Any]:
    """Returns what `pack` was given; raises a ProfileError for other bytes and newer versions."""
    try:
        found = json.loads(zlib.decompress(packed))
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        raise ProfileError(f"these bytes are not of the format {form}: {error}") from None
    if not isinstance(found, dict) or found.pop("format", None) != form:
        raise ProfileError(f"these bytes are not of the format {form}")
    stated = found.pop("format_version", None)
    if stated != version:
        raise ProfileError(f"the bytes have version {stated!r} of {form}, this release of otel-ml reads {version}")
    return found
