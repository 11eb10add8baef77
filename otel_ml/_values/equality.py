"""The one rule that says when two classes, categories or labels are the same value.

Values are compared by their canonical text (`_values.class_text`), so that type, precision and file format do not
matter: a whole number is its digits, any other number its seven significant digits, which single precision keeps, and
blanks around a text are ignored. Where one side has fixed values, such as the declared classes of a model or the
categories of a reference, a text also means the value that is equal to it as a number or as a boolean: ``True``,
``true``, ``1`` and ``1.0`` are one, unless that side has both. So are ``+1`` and ``1.000e+00``, as programs write
numbers into files. ``01`` is a code and equals only itself, and so is ``1e5``.
Where nothing was declared, a label is spelled as the predicted class is (`respell`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable
from typing import Final

from otel_ml._values.bounded import class_text

_NUMBER: Final = re.compile(r"(?:\+(?=\d))?(-?(?:0|[1-9]\d{0,15}))(\.\d{1,20})?([eE][-+]\d{2,3})?", re.ASCII)
_BOOLEANS: Final = (
    ("True", "true", "TRUE", "1", "1.0"),
    ("False", "false", "FALSE", "0", "0.0"),
)
BOOLEAN_PAIRS: Final = (
    *(("0", "1"), ("False", "True"), ("false", "true")),
    *(("no", "yes"), ("No", "Yes"), ("NO", "YES"), ("n", "y"), ("N", "Y")),
)
"""Pairs of a negative and a positive class that need no declaration."""
_SAME: Final = {
    text: tuple(
        sorted(set(group) - {text}, key=lambda other: (other[0].isdigit() != text[0].isdigit(), group.index(other)))
    )
    for group in _BOOLEANS
    for text in group
}
"""The other spellings of each: of a number the numbers first, of a boolean the booleans."""


def find_equal(text: str, values: Container[str]) -> str | None:
    """Returns the one of the fixed values that a canonical text equals; None if it equals none.

    Args:
        text: Canonical text, as `class_text` returns it.
        values: The fixed values, as canonical texts.
    """
    if text in values:
        return text
    return next((other for other in spellings(text) if other in values), None)


def count_texts(values: Iterable[tuple[object, int]]) -> Counter[str]:
    """Returns how often each canonical text occurs, from values and their counts; values without one are left out."""
    counts: Counter[str] = Counter()
    for value, count in values:
        text = class_text(value)
        if text is not None:
            counts[text] += count
    return counts


def spellings(text: str) -> tuple[str, ...]:
    """Returns the other texts that mean the same number or boolean, the most likely first."""
    found = _SAME.get(text)
    if found is not None:
        return found
    plain = _read_number(text)
    if plain is None:
        return ()
    more = (class_text(float(text)) or "",) if "." in plain else (f"{plain}.0",)
    others = (plain, *_SAME.get(plain, ()), *more)
    return tuple(other for other in others if other != text)


def _read_number(text: str) -> str | None:
    """Returns a number without an exponent and zeros at its end, and 0 without a sign; None for any other text."""
    number = _NUMBER.fullmatch(text)
    if number is None or number[3]:
        return number and class_text(float(text))
    plain = f"{number[1]}{(number[2] or '').rstrip('0').rstrip('.')}"
    return "0" if plain == "-0" else plain


def respell(text: str, like: str) -> str:
    """Returns a number or boolean in the spelling of another one; any other text as it is.

    Like ``0``, ``True`` is ``1`` and ``2.0`` is ``2``. Like ``False``, ``1`` is ``True``. Like ``1.0``, ``2`` is
    ``2.0``.
    """
    plain = _plain(text)
    if text == like or plain == _plain(like):
        return like
    if _read_number(like) is not None:
        is_whole = plain.removeprefix("-").isdecimal() and _read_number(plain) == plain
        return f"{plain}.0" if like.endswith(".0") and is_whole else plain
    words = next((group for group in _BOOLEANS if like in group), None)
    if words is None:
        return text
    truth = next((group for group in _BOOLEANS if plain in group), None)
    return plain if truth is None else truth[words.index(like)]


def _plain(text: str) -> str:
    """Returns the one text of a number or a boolean, however it is spelled; any other text as it is."""
    truth = next((group for group in _BOOLEANS if text in group), None)
    if truth is not None:
        return truth[3]
    number = _read_number(text)
    if number is None:
        return text
    return (class_text(float(number)) or number) if "." in number else number


def find_spelling(texts: Iterable[str]) -> str | None:
    """Returns a text that shows how numbers, or else booleans, are spelled; None if there are neither."""
    found = sorted({text for text in texts if text in _SAME or _read_number(text)})
    return next((text for text in found if _read_number(text)), next(iter(found), None))


def has_two_spellings(values: Collection[str]) -> bool:
    """Whether fixed values have two texts for one number or boolean, such as ``1`` and ``True``."""
    return any(other in values for text in values for other in spellings(text))


def find_pair(names: Collection[str]) -> tuple[str, str] | None:
    """Returns the pair that needs no declaration, if all names belong to it, in whatever spelling."""
    plain = {respell(name, "0") for name in names}
    return next((pair for pair in BOOLEAN_PAIRS if plain and plain <= set(pair)), None)


def find_positive(names: Collection[str]) -> str | None:
    """Returns the positive class if all names belong to a pair such as no and yes, in the spelling of the names."""
    pair = find_pair(names)
    if pair is None:
        return None
    return next((name for name in names if respell(name, "0") == pair[1]), respell(pair[1], min(names)))


def is_positive(name: str, classes: Collection[str] | None) -> bool | None:
    """Whether a class is the second one of two; None if that is not known.

    Args:
        name: The class text.
        classes: Two declared classes; None for a pair that needs no declaration.
    """
    pair = tuple(classes or find_pair([name]) or ())
    found = find_equal(name, pair)
    return None if found is None or len(pair) != 2 else found == pair[1]
