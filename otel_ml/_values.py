"""The only door for user data: what comes in goes out as a plain, bounded builtin value, or is refused with None."""

from __future__ import annotations

import datetime as dt
import heapq
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, cast

from otel_ml._guard import attempt
from otel_ml._kinds import WIDTH_LIMIT, builtin, is_empty, kind, members, pairs, sequence

TEXT_LIMIT = 1024
"""Characters kept of a text."""
CLASS_LIMIT = 128
"""Characters kept of a class: it becomes a metric attribute."""
BODY_LIMIT = 65536
"""Bytes of one JSON text."""
TRUNCATED = "truncated"
"""Key of the mark that something was left out of a structure."""

_NODES = 20_000
"""Values kept of one structure, whatever its shape."""
_DEPTH_LIMIT = 32
_INTEGER_BITS = 63
_CLASS_BITS = 332
"""Bits of an integer below 10 ** 100; a longer one names no class."""
_LARGEST_CLASS = 1e100

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line separators, bidirectional overrides and lone surrogates."""
_POISON = re.compile("[\x7f-\x9f\ud800-\udfff]")
"""What JSON does not escape, yet must not reach a terminal or an encoder."""
_BLANKS = "\t\n\r\u2028\u2029"


def number(value: object) -> float | None:
    """A finite builtin float; None for text, NaN, infinities and integers that no float can hold."""
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


def class_text(value: object) -> str | None:
    """The canonical text of a class: 1, ``numpy.int64(1)``, 1.0 and ``Decimal("1")`` are all ``"1"``.

    At most 128 characters; None for what is missing and for objects of unknown types, which are never printed.
    """
    cls = type(value)
    if cls is bool:
        return "True" if value else "False"
    if cls is not str and cls is not int:
        value = builtin(value)
    if type(value) is float:
        if not -_LARGEST_CLASS < value < _LARGEST_CLASS:
            return None
        value = int(value) if value.is_integer() else repr(value)
    if type(value) is int:
        return str(value) if value.bit_length() <= _CLASS_BITS else None
    return text(value, CLASS_LIMIT) if type(value) in _CLASS_TYPES else None


_CLASS_TYPES = frozenset({str, bytes, bool})


def text(value: object, limit: int = TEXT_LIMIT) -> str | None:
    """Clean bounded text for names, ids and messages: no control characters, no line breaks, no lone surrogates.

    Numbers, bytes, enumerations, dates and UUIDs have a text; objects of unknown types have none.
    """
    if type(value) is not str:
        value = attempt(str, value) if kind(value) == "uuid" else builtin(value)
        if type(value) is bytes:
            value = value[: 4 * max(limit, 0)].decode("utf-8", "replace")
        elif type(value) is float:
            value = repr(value)
        elif type(value) is int or type(value) is bool:
            value = str(value) if value.bit_length() <= _CLASS_BITS else None
        elif type(value) is not str:
            value = _moment(value)
    return _clean(value, limit) if type(value) is str else None


def _clean(value: str, limit: int) -> str:
    if len(value) > limit:
        value = value[: max(limit, 0)]
    return value if value.isprintable() else _UNPRINTABLE.sub(_replacement, value)


def _replacement(found: re.Match[str]) -> str:
    return " " if found.group() in _BLANKS else "\ufffd"


def is_missing(value: object) -> bool:
    """Whether a value stands for "no value": None, NaN of any numeric type, and the NA and NaT of pandas and numpy."""
    cls = type(value)
    if cls is str or cls is int or cls is bool:
        return False
    if cls is float or value is None:
        return value != value or value is None  # noqa: PLR0124 - the definition of NaN
    if kind(value) == "decimal":
        return bool(attempt(_is_nan, value))
    found = builtin(value)
    return is_empty(value) if found is None else type(found) is float and math.isnan(found)


def _is_nan(value: Any) -> bool:
    return bool(value.is_nan())


def cell(value: object) -> str | int | float | bool | None:
    """One plain scalar of a feature value, NaN and infinities kept: bins must tell them from None.

    Integers beyond 64 bits become floats, dates ISO texts, durations seconds, bytes a mark of their length; texts are
    cut at 1,024 characters; what is missing or unknown is None.
    """
    cls = type(value)
    if cls is float or cls is bool or value is None:
        return cast("float | None", value)
    found = builtin(value)
    if found is None:
        return text(value) if kind(value) == "uuid" else None
    if type(found) is int:
        return found if found.bit_length() <= _INTEGER_BITS else number(found)
    if type(found) is str:
        return _inside_json(found)
    if type(found) is bytes:
        return f"<{len(found)} bytes>"
    return found if type(found) is float or type(found) is bool else _moment(found)


def scalar(value: object) -> str | int | float | bool | None:
    """One plain scalar that JSON can hold: as `cell`, with None for NaN and infinities."""
    plain_value = cell(value)
    return None if type(plain_value) is float and not math.isfinite(plain_value) else plain_value


def _inside_json(value: str) -> str:
    if len(value) > TEXT_LIMIT:
        value = value[:TEXT_LIMIT]
    return value if value.isprintable() else _POISON.sub("\ufffd", value)


def _moment(value: object) -> str | float | None:
    """ISO text of a date or time, seconds of a duration, of exactly the types of `datetime`."""
    if type(value) is dt.timedelta:
        return value.total_seconds()
    if type(value) is dt.datetime or type(value) is dt.date or type(value) is dt.time:
        return attempt(value.isoformat)
    return None


def plain(value: object, *, depth: int = 6, items: int = 200) -> Any:
    """A structure of plain values that JSON can hold: at most so deep, so wide, and 20,000 values in all.

    Where something was left out a mapping carries ``"truncated": true`` and a list ends with ``{"truncated": true}``.
    """
    return Copy(items).of(value, min(depth, _DEPTH_LIMIT))


class Copy:
    """One walk over a structure, with what is left of its allowance."""

    __slots__ = ("items", "left")

    def __init__(self, items: int) -> None:
        self.items = items
        self.left = _NODES

    def of(self, value: object, depth: int) -> Any:
        self.left -= 1
        cls = type(value)
        if cls is float or cls is str or cls is int or cls is bool or value is None:
            return scalar(value)
        room = max(0, min(self.items, self.left)) if depth > 0 else 0
        found = pairs(value, room)
        if found is not None:
            return self._mapping(found[0], found[1], depth)
        listed = sequence(value, room) or members(value, room)
        if listed is not None:
            return self._list(listed[0], listed[1], depth)
        return scalar(value)

    def _mapping(self, items: Iterable[tuple[Any, Any]], total: int, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, item in items:
            name = text(key)
            if self.left > 0 and name is not None and name not in kept:
                kept[name] = self.of(item, depth - 1)
        if len(kept) < total:
            kept[TRUNCATED] = True
        return kept

    def _list(self, items: list[Any], total: int, depth: int) -> list[Any]:
        kept: list[Any] = [self.of(item, depth - 1) for item in items if self.left > 0]
        if len(kept) < total:
            kept.append({TRUNCATED: True})
        return kept


def _refuse(value: object) -> object:
    raise TypeError(type(value).__name__)


def _make_encoder() -> Callable[[object], str]:
    """One held C encoder: `json.dumps` with options builds a new one for every call."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    held: Any = attempt(make, None, _refuse, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    if held is None:
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    return lambda value: "".join(held(value, 0))


_encode = _make_encoder()


def json_text(value: object, *, limit: int = BODY_LIMIT) -> str:
    """One line of valid JSON and valid UTF-8, of at most `limit` bytes (at least 18); NaN and infinities are null.

    What is too long loses entries, of its largest part first: the largest ones of a mapping, the last ones of a list;
    it then carries ``"truncated": true`` at the top.
    """
    written = attempt(_encode, value) if attempt(_is_flat, value) else None
    if written is None:
        value = plain(value, items=WIDTH_LIMIT)
        written = _encode(value)
    if not written.isascii() or "\x7f" in written:
        written = _POISON.sub("\ufffd", written)
    if len(written) <= limit and (written.isascii() or _size(written) <= limit):
        return written
    return _shortened(plain(value, items=WIDTH_LIMIT), limit)


def _make_quick() -> Callable[[Any], bytes] | None:
    """A third of the price, where orjson is installed."""
    try:
        import orjson
    except ImportError:
        return None
    dumps: Callable[[Any], bytes] = orjson.dumps
    return dumps


_quick = _make_quick()


def flat_json(value: dict[str, object]) -> bytes:
    """`json_text` in UTF-8 for a dict of scalars, or of dicts of them, that has passed this boundary already.

    Raises whatever an encoder raises for a value that has not passed it.
    """
    written = _quick(value) if _quick is not None else None
    if written is None:
        if not _has_plain_names(value):  # orjson refuses them
            value = plain(value, items=WIDTH_LIMIT)
        text_written = attempt(_encode, value)
        written = None if text_written is None else text_written.encode("ascii", "replace")
        if text_written is not None and not text_written.isascii():
            written = None
    if written is None or len(written) > BODY_LIMIT or 0x7F in written:
        return json_text(value).encode()
    return written


def _has_plain_names(value: dict[str, object]) -> bool:
    """Whether all names are texts themselves: a subclass may say that it equals a name that was checked."""
    rows = [value, *(item for item in value.values() if type(item) is dict)]
    return all(_TEXT.issuperset(map(type, row)) for row in rows)


_TEXT = frozenset({str})
_NUMBERS = frozenset({float, int, bool, type(None)})
_SCALARS = _NUMBERS | {str}


def _is_flat(value: Any) -> bool:
    """Whether the encoder can be trusted with it: a dict of scalars, of dicts of scalars and of lists of those."""
    if type(value) is not dict:
        return False
    rows: list[Any] = [value.values()]
    for item in value.values():
        if type(item) is list:
            rows.append([row for row in item if type(row) is not dict])
            rows += [row.values() for row in item if type(row) is dict]
        elif type(item) is dict:
            rows.append(item.values())
    return all(map(_are_short, rows[1:])) and _are_short([item for item in rows[0] if type(item) not in (dict, list)])


def _are_short(values: Any) -> bool:
    """Whether all are scalars, and none is a text that would have to be cut."""
    if _NUMBERS.issuperset(map(type, values)):
        return True
    return _SCALARS.issuperset(map(type, values)) and all(
        len(value) <= TEXT_LIMIT for value in values if type(value) is str
    )


def _size(written: str) -> int:
    return len(written.encode("utf-8", "replace"))


def _shortened(value: Any, limit: int) -> str:
    document: dict[str, Any] = value if type(value) is dict else {"value": value}
    parts = {name: _parts(item) for name, item in document.items()}
    heads = {
        name: _size(_encode(name)) + (4 if entries else 2 + _size(_encode(document[name])))
        for name, entries in parts.items()
    }
    total = len('{"truncated":true}')
    largest: list[tuple[int, int, str]] = []
    for order, (name, entries) in enumerate(parts.items()):
        weight = heads[name] + sum(size for size, _ in entries)
        total += weight
        largest.append((-weight, -order, name))
    heapq.heapify(largest)
    while total > limit and largest:
        weight, order, name = heapq.heappop(largest)
        if not parts[name]:
            total += weight
            del parts[name]
            continue
        size, _ = parts[name].pop()
        total -= size
        heapq.heappush(largest, (weight + size, order, name))
    kept = {name: _only(document[name], entries) for name, entries in parts.items()}
    return _encode({**kept, TRUNCATED: True})


def _parts(item: Any) -> list[tuple[int, Any]]:
    """The entries of a container with their bytes, in the order in which they are kept: the last one goes first."""
    if type(item) is dict:
        sizes = [(_size(_encode(name)) + _size(_encode(entry)) + 2, name) for name, entry in item.items()]
        return sorted(sizes, key=lambda part: part[0])
    if type(item) is list:
        return [(_size(_encode(entry)) + 1, position) for position, entry in enumerate(item)]
    return []


def _only(item: Any, entries: list[tuple[int, Any]]) -> Any:
    if type(item) is dict:
        names = {name for _, name in entries}
        return {name: entry for name, entry in item.items() if name in names}
    return item[: len(entries)] if type(item) is list else item
