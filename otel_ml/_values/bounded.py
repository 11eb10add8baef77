"""The boundary for user data: any value becomes a bounded builtin value, or None."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast, overload

from otel_ml._guard import attempt
from otel_ml._values.kinds import builtin, kind, members, pairs, sequence

TEXT_LIMIT = 1024
"""Characters kept of a text."""
ATTRIBUTE_LIMIT = 65_536
"""Characters kept of an attribute that a user adds to a span; a queue holds thousands of spans."""
NAMES_SHOWN = 10
"""Names that a message lists."""
ID_LIMIT = 256
"""Characters kept of a prediction id, on the side of the prediction and on that of its label."""
CLASS_LIMIT = 128
"""Characters kept of a class: it becomes a metric attribute."""
TRUNCATED = "truncated"
"""Key that says that something was left out of a structure."""

_NODES = 20_000
"""Values kept of one structure, of any shape."""
_DEPTH_LIMIT = 32
_INTEGERS = range(-(2**63), 2**64)
"""Whole numbers of 64 bits, signed or not, which every JSON encoder writes."""
_SIGNED = range(-(2**63), 2**63)
_CLASS_BITS = 332
"""Bits of an integer below 10 ** 100; a longer one names no class."""
_LARGEST_CLASS = 1e100
EXACT_FLOAT = 2.0**53
"""Floats represent every whole number up to here, and no fraction beyond."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line separators, bidirectional overrides and lone surrogates."""
_UNPRINTABLE_IN_BLOCK = re.compile("\r\n?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
UNESCAPED = re.compile("[\x7f-\x9f\ud800-\udfff]")
"""Characters that JSON does not escape, yet must not reach a terminal or an encoder."""
_NUMBER = re.compile(r"\s*[-+]?\d{1,40}(\.\d{0,40})?([eE][-+]?\d{1,3})?\s*", re.ASCII)
_BLANKS = frozenset("\t\n\r\u2028\u2029")
_RETURNS = frozenset({"\r", "\r\n"})


def number(value: object) -> float | None:
    """Returns a finite builtin float; None for text, NaN, infinities and integers that no float can hold."""
    cls = type(value)
    if cls is not float:
        if cls is not int and cls is not bool:
            value = builtin(value)
            cls = type(value)
        if cls is int or cls is bool:
            whole = cast("int", value)
            return float(whole) if whole.bit_length() < 1024 else None
        if cls is not float:
            return None
    real = cast("float", value)
    return real if math.isfinite(real) else None


def written_number(value: object) -> float | None:
    """Returns what `number` does, and also reads a text that is a number, such as ``"12.50"``."""
    found = number(value)
    if found is not None:
        return found
    text = builtin(value)
    return number(float(text)) if type(text) is str and _NUMBER.fullmatch(text) else None


def class_text(value: object) -> str | None:
    """Returns the canonical text of a class: 1, ``numpy.int64(1)``, 1.0 and ``Decimal("1")`` are all ``"1"``.

    Other numbers have seven significant digits, as many as single precision keeps: 0.3 and ``numpy.float32(0.3)`` are
    the same. Blanks around a text are no part of it. At most 128 characters. Bytes are the short text that they encode,
    or else their length. None for missing values and for objects of unknown types, which are never printed.
    """
    cls = type(value)
    if cls is bool:
        return "True" if value else "False"
    if cls is not str and cls is not int:
        value = builtin(value)
    if type(value) is float:
        if not -_LARGEST_CLASS < value < _LARGEST_CLASS:
            return None
        value = int(value) if value.is_integer() else _single_precision(value)
    if type(value) is int:
        return str(value) if value.bit_length() <= _CLASS_BITS else None
    if type(value) is bytes:
        value = _bytes_text(value)
    text = line(value, CLASS_LIMIT) if type(value) in _CLASS_TYPES else None
    return text if text is None else text.strip()


def _single_precision(value: float) -> int | str:
    rounded = float(f"{value:.7g}")
    return int(rounded) if rounded.is_integer() else repr(rounded)


_CLASS_TYPES = frozenset({str, bool})


def _bytes_text(value: bytes) -> str:
    """Returns the text of at most 128 bytes in UTF-8, without blanks around it; of any others only the length."""
    text = attempt(lambda: value.decode().strip()) if len(value) <= CLASS_LIMIT else None
    return text if text is not None and text.isprintable() else f"<{len(value)} bytes>"


def id_text(value: object, limit: int) -> str | None:
    """Returns the text of an id; None for what is none.

    A whole float is its digits: a merge in pandas turns a column of whole numbers to floats. Beyond 2**53, where floats
    skip whole numbers, it is not, because its digits may be those of another id.
    """
    if type(value) is str:
        return line(value, limit)
    plain = builtin(value)
    if type(plain) is float:
        whole = attempt(_whole, value) if kind(value) == "decimal" else None
        if whole is not None:  # of a database; as a float it would lose digits
            return line(whole, limit)
        value = int(plain) if plain.is_integer() and abs(plain) <= EXACT_FLOAT else plain
        return line(value, limit) if math.isfinite(plain) else None
    return None if type(plain) is bool else line(value, limit)


def _whole(value: Any) -> int | None:
    whole = int(value)
    return whole if whole == value else None


@overload
def line(value: str, limit: int = TEXT_LIMIT) -> str: ...
@overload
def line(value: object, limit: int = TEXT_LIMIT) -> str | None: ...
def line(value: object, limit: int = TEXT_LIMIT) -> str | None:
    """Returns one clean line of at most `limit` characters, for names, ids, labels and messages.

    Line breaks and tabs become spaces; other control characters, bidirectional overrides and lone surrogates become
    U+FFFD. Numbers, bytes, enumerations, dates and UUIDs have a text; objects of unknown types have none.
    """
    if type(value) is not str:
        value = _scalar_text(value, limit)
        if value is None:
            return None
    if len(value) > limit:
        value = value[: max(limit, 0)]
    return value if value.isprintable() else _UNPRINTABLE.sub(_replacement, value)


def few_names(names: Sequence[str], limit: int = NAMES_SHOWN) -> str:
    """Returns the first names for a message, and an ellipsis if there are more."""
    return ", ".join(names[:limit]) + ", ..." * (len(names) > limit)


def block(value: str, limit: int) -> str:
    """Returns clean text of at most `limit` characters in all, for bodies and stack traces.

    As `line`, but tabs stay and line breaks become line feeds. U+2028 and U+2029 become spaces, because a line feed
    would break a JSON text that contains them.
    """
    if type(value) is not str:
        value = str.__str__(value)
    if len(value) > limit:
        value = value[: max(limit, 0)]
    return value if value.isprintable() else _UNPRINTABLE_IN_BLOCK.sub(_replacement_in_block, value)


def _replacement(found: re.Match[str]) -> str:
    return " " if found.group() in _BLANKS else "\ufffd"


def _replacement_in_block(found: re.Match[str]) -> str:
    return "\n" if found.group() in _RETURNS else _replacement(found)


def _scalar_text(value: object, limit: int) -> str | None:
    value = builtin(value)
    if type(value) is bytes:
        return value[: 4 * max(limit, 0)].decode("utf-8", "replace")
    if type(value) is float:
        return repr(value)
    if type(value) is int or type(value) is bool:
        return str(value) if value.bit_length() <= _CLASS_BITS else None
    found = value if type(value) is str else _moment(value)
    return found if type(found) is str else None


def cell(value: object) -> str | int | float | bool | None:
    """Returns the builtin scalar of a feature value. NaN and infinities stay, since bins distinguish them from None.

    Integers beyond 64 bits become floats, dates ISO texts, and durations seconds. Bytes are a text as in `class_text`.
    Texts are cut at 1,024 characters. Missing and unknown values are None.
    """
    cls = type(value)
    if cls is float or cls is bool or value is None:
        return cast("float | None", value)
    found = builtin(value)
    if found is None:
        return None
    if type(found) is int:
        return found if found in _INTEGERS else number(found)
    if type(found) is str:
        return _inside_json(found)
    if type(found) is bytes:
        return _bytes_text(found)
    return found if type(found) is float or type(found) is bool else _moment(found)


def scalar(value: object) -> str | int | float | bool | None:
    """Returns a builtin scalar that JSON can hold: as `cell`, with None for NaN and infinities."""
    plain_value = cell(value)
    return None if type(plain_value) is float and not math.isfinite(plain_value) else plain_value


def attribute(value: object) -> Any:
    """Returns the value of a span's attribute: a scalar, a bounded list or mapping, or None.

    NaN and infinities stay, as in the SDK. A text keeps its line breaks and 65,536 characters.
    """
    found = builtin(value)
    if type(found) is str:
        return block(found, ATTRIBUTE_LIMIT)
    if type(found) is int and found not in _SIGNED:
        return number(found)
    return cell(value) if found is not None else plain(value)


def _inside_json(value: str) -> str:
    if len(value) > TEXT_LIMIT:
        value = value[:TEXT_LIMIT]
    return value if value.isprintable() else UNESCAPED.sub("\ufffd", value)


def _moment(value: object) -> str | float | None:
    """Returns the ISO text of a date or time, or the seconds of a duration; only for exact types of `datetime`."""
    if type(value) is dt.timedelta:
        return value.total_seconds()
    if type(value) is dt.datetime or type(value) is dt.date or type(value) is dt.time:
        return attempt(value.isoformat)
    return None


def plain(value: object, *, depth: int = 6, items: int = 200) -> Any:
    """Returns a structure of builtin values that JSON can hold: at most so deep, so wide, and 20,000 values in all.

    If something was left out, a mapping has ``"truncated": true`` and a list ends with ``{"truncated": true}``.
    """
    return Copy(items).convert(value, min(depth, _DEPTH_LIMIT))


class Copy:
    """Copies one structure and counts the values that it may still keep.

    Args:
        items: Entries kept of each mapping and each list.
        record: Returns the named values of an object that becomes a mapping, None for any other.
    """

    __slots__ = ("items", "left", "record")

    def __init__(self, items: int, record: Callable[[object], list[tuple[Any, Any]] | None] | None = None) -> None:
        self.items = items
        self.left = _NODES
        self.record = record

    def convert(self, value: object, depth: int) -> Any:
        """Returns a value as builtin values, at most so deep."""
        self.left -= 1
        cls = type(value)
        if cls is float or cls is str or cls is int or cls is bool or value is None:
            return scalar(value)
        room = max(0, min(self.items, self.left)) if depth > 0 else 0
        found = pairs(value, room)
        if found is not None:
            return self._mapping(found[0], found[1], depth)
        named = self.record(value) if self.record is not None else None
        if named is not None:
            return self._mapping(named[:room], len(named), depth)
        listed = sequence(value, room) or members(value, room)
        if listed is not None:
            return self._list(listed[0], listed[1], depth)
        return scalar(value)

    def _mapping(self, items: Iterable[tuple[Any, Any]], total: int, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, item in items:
            name = line(key)
            if self.left > 0 and name is not None and name not in kept:
                kept[name] = self.convert(item, depth - 1)
        if len(kept) < total:
            kept[TRUNCATED] = True
        return kept

    def _list(self, items: list[Any], total: int, depth: int) -> list[Any]:
        kept: list[Any] = [self.convert(item, depth - 1) for item in items if self.left > 0]
        if len(kept) < total:
            kept.append({TRUNCATED: True})
        return kept
