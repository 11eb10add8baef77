"""Types of known libraries, recognised by name without an import, and the builtin values behind them.

Only methods of known types are called, because they are cheap and free of side effects, and only through
`_guard.attempt`. Objects of any other type are never converted, compared, hashed, iterated or printed.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from itertools import islice
from typing import Any, cast

from otel_ml._guard import attempt

WIDTH_LIMIT = 1000
"""Values kept of one row of a two-dimensional array."""

_KINDS = {
    ("numpy", "generic"): "scalar",
    ("numpy", "ndarray"): "array",
    ("torch", "Tensor"): "tensor",
    ("pandas", "Series"): "series",
    ("pandas", "Index"): "index",
    ("pandas", "ExtensionArray"): "index",
    ("pandas", "DataFrame"): "pandas",
    ("pandas", "NAType"): "missing",
    ("pandas", "NaTType"): "missing",
    ("polars", "Series"): "polars_series",
    ("polars", "DataFrame"): "polars",
    ("pyarrow", "Array"): "arrow_array",
    ("pyarrow", "ChunkedArray"): "arrow_array",
    ("pyarrow", "Table"): "arrow",
    ("pyarrow", "RecordBatch"): "arrow",
    ("pyarrow", "Scalar"): "arrow_scalar",
    ("array", "array"): "index",
    ("decimal", "Decimal"): "decimal",
    ("fractions", "Fraction"): "decimal",
    ("uuid", "UUID"): "printed",
    ("pandas", "Interval"): "printed",
    ("scipy", "sparray"): "sparse",
    ("scipy", "spmatrix"): "sparse",
    ("jax", "Array"): "shaped",
    ("jaxlib", "ArrayImpl"): "shaped",
    ("tensorflow", "Tensor"): "shaped",
    ("cupy", "ndarray"): "shaped",
    ("starlette", "HTTPConnection"): "request",
    ("starlette", "Response"): "bytes_response",
    ("werkzeug", "Response"): "werkzeug_response",
    ("django", "HttpResponse"): "django_response",
    ("litestar", "Response"): "litestar_response",
    ("aiohttp", "Response"): "bytes_response",
    ("sanic", "HTTPResponse"): "bytes_response",
    ("quart", "Response"): "quart_response",
    ("blacksheep", "Response"): "blacksheep_response",
    ("PIL", "Image"): "picture",
    ("sqlalchemy", "Row"): "database_row",
    ("sqlite3", "Row"): "database_row",
    ("asyncpg", "Record"): "database_row",
}
FRAMES = frozenset({"pandas", "polars", "arrow"})
"""Kinds of tables."""
_LIBRARIES = frozenset(library for library, _ in _KINDS)
_KNOWN_KINDS = 256
"""Types of these libraries that are cached; types of the user never are."""
_kinds: dict[type, str] = {}


# Descriptors of `type` itself: a metaclass cannot override them.
_mro = cast("Any", type.__dict__["__mro__"]).__get__
_module = cast("Any", type.__dict__["__module__"]).__get__
_name = cast("Any", type.__dict__["__name__"]).__get__


def kind(value: object) -> str:
    """Returns what a value of a known library is: ``"array"``, ``"tensor"``, ``"series"``, ...; "" for other types."""
    cls = type(value)
    if cls is dict or cls is float or cls is str or cls is int or cls is list:
        return ""
    return attempt(_kind, cls) or ""


def _kind(cls: type) -> str:
    known = _kinds.get(cls)
    if known is not None:
        return known
    for base in _mro(cls):
        found = _KINDS.get((_library(base), _name(base)))
        if found is not None:
            if _library(cls) in _LIBRARIES and len(_kinds) < _KNOWN_KINDS:
                _kinds[cls] = found
            return found
    return ""


def _library(cls: type) -> str:
    module = _module(cls)
    return module.partition(".")[0] if type(module) is str else ""


def builtin(value: object) -> object:
    """Returns the builtin scalar behind a value: exactly a bool, int, float, str, bytes, or a type of `datetime`.

    UUIDs and intervals of pandas are their text, as files have them.
    None for values that are missing, unknown or on a device, or have several elements. NaN and infinities stay.
    """
    cls = type(value)
    if cls is float or cls is int or cls is str or cls is bool or value is None:
        return value
    return attempt(_builtin, value, cls)


def _builtin(value: Any, cls: type) -> object:
    if issubclass(cls, float):  # a numpy.float64 too
        return float.__float__(value)
    if issubclass(cls, Enum):
        value = object.__getattribute__(value, "_value_")
        cls = type(value)
    if cls is bool:
        return cast("bool", value)
    family = _kind(cls)
    if family:
        return _unpacked(value, family)
    for base, exact in _EXACT:
        if issubclass(cls, base):
            return exact(value)
    return None


_EXACT: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (float, float.__float__),
    (int, int.__int__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (dt.datetime, lambda value: dt.datetime.fromisoformat(dt.datetime.isoformat(value)).replace(fold=value.fold)),
    (dt.date, lambda value: dt.date.fromisoformat(dt.date.isoformat(value))),
    (dt.time, lambda value: dt.time.fromisoformat(dt.time.isoformat(value))),
    (dt.timedelta, dt.timedelta.__pos__),
)
"""How a value of a builtin type, or of a subclass with its own methods, becomes one of exactly that type."""


def _unpacked(value: Any, family: str) -> object:
    if family == "decimal":
        return float(value)
    item: Any = None
    if family == "printed":
        item = str(value)
    elif family == "scalar":
        item = _in_microseconds(value).item()
        if type(item) is type(value):  # the item of a numpy.longdouble is the object itself
            item = float(item)
    elif family == "array":
        item = _in_microseconds(value).tolist() if value.ndim == 0 else None
    elif family == "tensor":
        item = value.item() if is_on_host(value) and value.ndim == 0 else None
    elif family == "arrow_scalar":
        item = value.as_py()
    return item if type(item) is bool or any(type(item) is base for base, _ in _EXACT) else None


def _in_microseconds(value: Any) -> Any:
    """Returns the value with dates in microseconds: numpy returns nanoseconds as bare integers."""
    code = value.dtype.kind
    if code in "mM":
        return value.astype("datetime64[us]" if code == "M" else "timedelta64[us]")
    return value


def is_on_host(tensor: Any) -> bool:
    """Whether a tensor can be read without a transfer from a device."""
    return bool(tensor.device.type == "cpu")


def sequence(value: object, limit: int, start: int = 0) -> tuple[list[Any], int] | None:
    """Returns some elements of a list, tuple, array, column or host tensor, the first ones by default, and its length.

    Elements are not converted. Rows of a two-dimensional array are lists, cut at `WIDTH_LIMIT`. More dimensions, device
    tensors, sets, iterators and generators are refused (None), and never consumed.
    """
    cls = type(value)
    if cls is list:
        items = cast("list[Any]", value)
        return items[start : start + limit], len(items)
    if cls is float or cls is str or cls is int or cls is dict or value is None:
        return None
    return attempt(_sequence, value, cls, slice(start, start + limit))


_PLAIN_SEQUENCES = frozenset({range, deque, type({}.keys()), type({}.values())})
"""Types that are read in their order, element by element."""


def _sequence(value: Any, cls: type, part: slice) -> tuple[list[Any], int] | None:
    if issubclass(cls, list):
        return list.__getitem__(value, part), list.__len__(value)
    if issubclass(cls, tuple):
        return list(tuple.__getitem__(value, part)), tuple.__len__(value)
    if cls in _PLAIN_SEQUENCES:
        return list(islice(value, part.start, part.stop)), len(value)
    family = _kind(cls)
    if family == "array" or (family == "tensor" and is_on_host(value)):
        return _rows_of(value, family, part)
    taken: Any = None
    if family == "series":
        taken = value.iloc[part].tolist()
    elif family == "index":
        taken = value[part].tolist()
    elif family == "polars_series":
        taken = value.slice(part.start, part.stop - part.start).to_list()
    elif family == "arrow_array":
        taken = value.slice(part.start, part.stop - part.start).to_pylist()
    return (taken, max(len(value), len(taken))) if type(taken) is list else None


def _rows_of(value: Any, family: str, rows: slice) -> tuple[list[Any], int] | None:
    if value.ndim not in (1, 2):
        return None
    part = value.detach() if family == "tensor" else _in_microseconds(value)
    taken = (part[rows] if value.ndim == 1 else part[rows, :WIDTH_LIMIT]).tolist()
    return (taken, max(int(value.shape[0]), len(taken))) if type(taken) is list else None


def pairs(value: object, limit: int) -> tuple[list[tuple[Any, Any]], int] | None:
    """Returns the first items of a mapping or of a database's row, and its length; None for a web request, and others.

    A subclass of dict is read by the methods of dict, not by its own.
    """
    return attempt(_pairs, value, limit)


def _pairs(value: Any, limit: int) -> tuple[list[tuple[Any, Any]], int] | None:
    cls = type(value)
    if issubclass(cls, dict):
        return list(islice(dict.items(value), limit)), dict.__len__(value)
    family = _kind(cls)
    if family == "database_row":
        value = getattr(value, "_mapping", value)
        return [(key, value[key]) for key in islice(value.keys(), limit)], len(value)
    if not issubclass(cls, Mapping) or family == "request":
        return None
    found = [(key, item) for key, item in islice(value.items(), limit)]
    return found, max(len(value), len(found))


def members(value: Any, limit: int) -> tuple[list[Any], int] | None:
    """Returns some members of a set, and its length; None for anything else."""
    cls = type(value)
    for base in (set, frozenset):
        if issubclass(cls, base):
            return list(islice(base.__iter__(value), limit)), base.__len__(value)
    return None
