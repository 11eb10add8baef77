"""Answers of a size that an assistant can read: compact, clean, and what is left out is said."""

from __future__ import annotations

import json
from typing import Any, Final

from otel_ml._values import block

LARGEST: Final = 40_000
"""Characters of an answer; clients refuse, cut or store longer ones."""
_STEPS: Final = ((2000, 100), (500, 60), (160, 50), (60, 20), (30, 8), (20, 3))
"""Characters of one text and items of one list, until the answer is small enough."""


def write(answer: dict[str, Any]) -> str:
    """Returns an answer as one JSON text without what is unknown."""
    text = ""
    for characters, items in _STEPS:
        text = json.dumps(_bounded(answer, characters, items), ensure_ascii=False, separators=(",", ":"))
        if len(text) <= LARGEST:
            return text
    return json.dumps({"page": answer["page"], "left_out": "the answer is too large: open the page, or ask for less"})


def rounded(value: Any) -> Any:
    """Returns figures that were computed with six digits, and whole numbers without a fraction."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.6g}")
    return value


def _bounded(value: Any, characters: int, items: int) -> Any:
    if isinstance(value, str):
        more = len(value) - characters
        return block(value, characters) + (f"… {more} characters left out" if more > 0 else "")
    if isinstance(value, list):
        found = [_bounded(each, characters, items) for each in value[:items]]
        return [*found, f"… {len(value) - items} left out"] if len(value) > items else found
    if isinstance(value, dict):
        known = [(name, each) for name, each in value.items() if each is not None]
        kept = {_bounded(name, characters, items): _bounded(each, characters, items) for name, each in known[:items]}
        return kept | ({"…": f"{len(known) - items} left out"} if len(known) > items else {})
    return value
