"""JSON texts of events: valid, bounded, in valid UTF-8, and fast for rows that are already clean."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable
from typing import Any

from otel_ml._guard import attempt
from otel_ml._values.bounded import TEXT_LIMIT, TRUNCATED, UNESCAPED, plain
from otel_ml._values.kinds import WIDTH_LIMIT

BODY_LIMIT = 65536
"""Bytes of one JSON text."""


def _refuse(value: object) -> object:
    raise TypeError(type(value).__name__)


def _make_encoder() -> Callable[[object], str]:
    """Makes one C encoder and keeps it: `json.dumps` with options makes a new one for every call."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    held: Any = attempt(make, None, _refuse, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    if held is None:
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    return lambda value: "".join(held(value, 0))


_encode = _make_encoder()


def json_text(value: object, *, limit: int = BODY_LIMIT) -> str:
    """Returns one line of valid JSON and UTF-8, of at most `limit` bytes (at least 18); NaN and infinities are null.

    A longer document drops entries of its largest part first: the largest ones of a mapping, the last ones of a list.
    It then has ``"truncated": true`` at the top level.
    """
    written = attempt(_encode, value) if attempt(_is_flat, value) else None
    if written is None:
        value = plain(value, items=WIDTH_LIMIT)
        written = _encode(value)
    if not written.isascii() or "\x7f" in written:
        written = UNESCAPED.sub("\ufffd", written)
    if len(written) <= limit and (written.isascii() or _size(written) <= limit):
        return written
    return _shortened(plain(value, items=WIDTH_LIMIT), limit)


def _make_quick() -> Callable[[Any], bytes] | None:
    """Returns the encoder of orjson, at a third of the cost, if it is installed."""
    try:
        import orjson
    except ImportError:
        return None
    dumps: Callable[[Any], bytes] = orjson.dumps
    return dumps


_quick = _make_quick()


def flat_json(value: dict[str, object]) -> bytes:
    """Returns `json_text` in UTF-8 for a dict of scalars, or of dicts of them, whose values `_values` has cleaned.

    Raises what the encoder raises if they were not cleaned.
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


def rows_json(rows: Iterable[dict[str, object]], room: int) -> tuple[str, int]:
    """Returns a JSON list of rows that `flat_json` can write, and how many it has: the first ones, as many as fit.

    Args:
        rows: Dicts of scalars, or of dicts of them.
        room: Bytes that the list has at most. The first row is there in any case, truncated if need be.
    """
    written: list[bytes] = []
    room -= len("[]")
    for row in rows:
        text = attempt(flat_json, row)
        if text is None or (not written and len(text) > room):
            text = json_text(row, limit=room).encode()
        if len(text) > room:
            break
        written.append(text)
        room -= len(text) + 1
    return f"[{b','.join(written).decode()}]", len(written)


def _has_plain_names(value: dict[str, object]) -> bool:
    """Whether all names are exactly of type str: a subclass can claim to equal a name that was checked."""
    rows = [value, *(item for item in value.values() if type(item) is dict)]
    return all(_TEXT.issuperset(map(type, row)) for row in rows)


_TEXT = frozenset({str})
_NUMBERS = frozenset({float, int, bool, type(None)})
_SCALARS = _NUMBERS | {str}


def _is_flat(value: Any) -> bool:
    """Whether the encoder can take it as it is: a dict of scalars, of dicts of scalars and of lists of those."""
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
    """Whether all are scalars, and no text has to be cut."""
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
    """Returns the entries of a container with their bytes, in the order of keeping: the last one is dropped first."""
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
