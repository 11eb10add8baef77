"""JSON texts over several lines, as the messages of a language model or a log line with fields arrive."""

from __future__ import annotations

import json
import re
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')
_SHORT: Final = 72
"""Characters that read well on one line."""
_DEPTH: Final = 20
"""Levels of a text that is indented; each makes all lines within it longer."""


def indented(text: str) -> str:
    """Returns a JSON object or list with a line for each value, written as before; other texts as they are."""
    if len(text) <= _SHORT or text[0] not in "{[" or not _is_json(text):
        return text
    parts: list[str] = []
    depth = 0
    tokens = _TOKEN.findall(text)
    for place, token in enumerate(tokens):
        is_empty = token in "{[" and tokens[place + 1] in "}]"
        if token in "}]" and tokens[place - 1] not in "{[":
            depth -= 1
            parts.append(_line(depth))
        parts.append(token)
        if token in "{[" and not is_empty:
            depth += 1
            if depth > _DEPTH:
                return text
            parts.append(_line(depth))
        elif token == ",":
            parts.append(_line(depth))
        elif token == ":":
            parts.append(" ")
    return "".join(parts)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (RecursionError, ValueError):
        return False
    return True


def _line(depth: int) -> str:
    return "\n" + "  " * depth
