"""The segments of a prediction as one text of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache


@lru_cache(maxsize=4096)
def segments_text(columns: Sequence[str], values: Sequence[str]) -> str:
    """Returns the JSON text of segments by column, which are tuples."""
    return json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False)


@lru_cache(maxsize=4096)
def read_segments(text: str | None) -> Mapping[str, str]:
    """Returns the segments by column; none without a text."""
    found: dict[str, str] = {} if text is None else json.loads(text)
    return found
