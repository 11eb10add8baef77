"""The one rule that says when two classes, categories or labels are the same value.

Values are compared by their canonical text (`_values.class_text`), so that type, precision and file format do not
matter: a whole number is its digits, any other number its seven significant digits, which single precision keeps, and
blanks around a text are ignored. Where one side has fixed values, such as the declared classes of a model or the
categories of a reference, a text also means the value that is equal to it as a number or as a boolean: ``True``,
``true``, ``1`` and ``1.0`` are one, unless that side tells them apart. ``01`` is a code and equals only itself.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

_NUMBER: Final = re.compile(r"(-?(?:0|[1-9]\d{0,15}))(\.\d{1,15})?", re.ASCII)
_BOOLEANS: Final = (
    ("True", "true", "TRUE", "1", "1.0"),
    ("False", "false", "FALSE", "0", "0.0"),
)
_SAME: Final = {text: tuple(other for other in group if other != text) for group in _BOOLEANS for text in group}


def find_equal(text: str, values: Container[str]) -> str | None:
    """Returns the one of the fixed values that a canonical text equals; None if it equals none.

    Args:
        text: Canonical text, as `class_text` returns it.
        values: The fixed values, as canonical texts.
    """
    if text in values:
        return text
    return next((other for other in spellings(text) if other in values), None)


def spellings(text: str) -> tuple[str, ...]:
    """Returns the other texts that mean the same number or boolean, the most likely first."""
    found = _SAME.get(text)
    if found is not None:
        return found
    number = _NUMBER.fullmatch(text)
    if number is None:
        return ()
    fraction = (number[2] or "").rstrip("0").rstrip(".")
    plain = f"{number[1]}{fraction}"
    others = (plain, *_SAME.get(plain, ()), *(() if fraction else (f"{number[1]}.0",)))
    return tuple(other for other in others if other != text)
