"""Objects with named values: mappings, named tuples, dataclasses, pydantic models and other objects with attributes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values import cell
from otel_ml._values.kinds import kind, pairs, sequence
from otel_ml.quality import ColumnNames, column_key

FEATURE_LIMIT = 1000
"""Features kept of one prediction."""
_NOT_RECORDS = (type, FunctionType, MethodType, ModuleType, BaseException)
_PYDANTIC_FIELDS: Final = ("__pydantic_fields__", "model_fields", "__fields__")
_PYDANTIC_NAMES: Final = ("validation_alias", "alias", "serialization_alias")
_ROOTS: Final = 3
_CLASSES_KEPT: Final = 256

_mro: Any = type.__dict__["__mro__"].__get__
_namespace: Any = type.__dict__["__dict__"].__get__


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The names that a class of records declares."""

    fields: frozenset[str]
    """Its fields."""
    aliases: Mapping[str, tuple[str, ...]]
    """Further names of a field."""
    others: frozenset[str]
    """Canonical forms of the other names that the class defines, such as properties."""
    is_open: bool
    """Whether a value can have any name, because the class computes attributes."""


def unwrap(value: object) -> object:
    """Returns the value inside a pydantic root model; any other value as it is."""
    if type(value) is dict:  # mostly
        return value
    for _ in range(_ROOTS):
        inner = attempt(_root, value)
        if inner is None:
            break
        value = inner
    return value


def _root(value: object) -> object:
    stored = object.__getattribute__(value, "__dict__")
    if type(stored) is not dict or len(stored) != 1 or not _is_pydantic(type(value)):
        return None
    return stored.get("root") if _inherited(type(value), "__pydantic_root_model__") is True else stored.get("__root__")


def find_record(value: object, columns: ColumnNames | None = None) -> list[tuple[Any, Any]] | None:
    """Returns the named values of a mapping, a named tuple or an object with attributes; None for anything else.

    A field with aliases gets the name of the declared column that one of them means.
    """
    found = pairs(value, FEATURE_LIMIT)
    if found is not None:
        return found[0]
    if issubclass(type(value), tuple):
        return attempt(_named, value)
    if kind(value) == "scalar":
        return attempt(_structured, value)
    items = None if cell(value) is not None or sequence(value, 0) else attempt(_attributes, value)
    if items is None or columns is None:
        return items
    aliases = class_names(type(value)).aliases
    return [(columns.find_field((name, *aliases[name])) or name if name in aliases else name, it) for name, it in items]


def find_nested(value: object, columns: ColumnNames | None = None) -> list[tuple[Any, Any]] | None:
    """Returns the named values of a nested record; None for an object whose class declares no fields."""
    cls = type(value)
    if kind(value) or not (class_names(cls).fields or type(getattr(cls, "_fields", None)) is tuple):
        return None
    return find_record(unwrap(value), columns)


def _named(value: Any) -> list[tuple[Any, Any]] | None:
    fields = getattr(type(value), "_fields", None)
    if type(fields) is not tuple:
        return None
    return list(zip(fields[:FEATURE_LIMIT], tuple.__iter__(value), strict=False))


def _structured(value: Any) -> list[tuple[Any, Any]] | None:
    """Returns the fields of one row of a structured numpy array."""
    names = value.dtype.names
    return None if names is None else [(name, value[name]) for name in names[:FEATURE_LIMIT]]


def _attributes(value: object) -> list[tuple[str, Any]] | None:
    """Reads the public attributes of an object where they are stored, to run as little user code as possible."""
    if value is None or kind(value) or issubclass(type(value), _NOT_RECORDS):
        return None
    items: list[tuple[Any, Any]] = []
    stores = ("__dict__", "__pydantic_extra__") if _is_pydantic(type(value)) else ("__dict__",)
    for store in stores:
        stored = attempt(object.__getattribute__, value, store)
        found = pairs(stored, FEATURE_LIMIT) if type(stored) is dict else None
        items += found[0] if found is not None else []
    for base in _mro(type(value)):
        slots = _namespace(base).get("__slots__", ())
        for name in [slots] if type(slots) is str else list(slots)[:FEATURE_LIMIT]:
            items.append((name, attempt(object.__getattribute__, value, name)))
    public = [(name, item) for name, item in items if type(name) is str and not name.startswith("_")]
    return public or None


def unread_columns(value: object, columns: frozenset[str]) -> frozenset[str]:
    """Returns the columns that an object may have beyond its stored attributes."""
    if pairs(value, 0) is not None or kind(value) or issubclass(type(value), tuple):
        return frozenset()
    names = class_names(type(value))
    if names.is_open:
        return columns
    stored = attempt(object.__getattribute__, value, "__dict__")
    hidden = {column_key(name) for name in stored if type(name) is str} if type(stored) is dict else set()
    return frozenset(column for column in columns if (key := column_key(column)) in names.others or key in hidden)


_classes: dict[int, tuple[weakref.ref[type], ClassNames]] = {}
"""By the id of a class, since a user's class is never hashed. The reference shows if the id is still its own."""


def class_names(cls: type) -> ClassNames:
    """Returns the names that a class declares, remembered for the newest classes."""
    known = _classes.get(id(cls))
    if known is not None and known[0]() is cls:
        return known[1]
    names = attempt(_class_names, cls) or ClassNames(frozenset(), {}, frozenset(), is_open=True)
    if len(_classes) >= _CLASSES_KEPT:
        _classes.clear()
    _classes[id(cls)] = (weakref.ref(cls), names)
    return names


def _class_names(cls: type) -> ClassNames:
    aliases: dict[str, tuple[str, ...]] = {}
    fields: set[str] = set()
    others: set[str] = set()
    is_open = False
    for base in _mro(cls):
        if base is object:
            continue
        namespace = _namespace(base)
        is_open |= not _is_pydantic(cls) and ("__getattr__" in namespace or "__getattribute__" in namespace)
        others.update(column_key(name) for name in namespace if not name.startswith("__"))
        for name, texts in _declared_fields(namespace):
            fields.add(name)
            found = tuple(dict.fromkeys(text for text in texts if type(text) is str and text != name))
            if found:
                aliases.setdefault(name, found)
    return ClassNames(frozenset(fields), aliases, frozenset(others), is_open)


def _is_pydantic(cls: type) -> bool:
    return any(type(_inherited(cls, name)) is dict for name in _PYDANTIC_FIELDS)


def _inherited(cls: type, name: str) -> Any:
    return next((_namespace(base)[name] for base in _mro(cls) if name in _namespace(base)), None)


def _declared_fields(namespace: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yields the fields that a class declares itself, each with its further names."""
    for key in _PYDANTIC_FIELDS:
        fields = namespace.get(key)
        if type(fields) is dict:
            for name, field in fields.items():
                yield name, alias_texts(field)
    fields = namespace.get("__dataclass_fields__")
    if type(fields) is dict:
        for name, field in fields.items():
            yield name, _metadata_texts(field.metadata)
    for field in namespace.get("__attrs_attrs__", ()):
        yield field.name, [getattr(field, "alias", None), *_metadata_texts(field.metadata)]
    if type(namespace.get("__required_keys__")) is frozenset:  # a TypedDict
        yield from ((name, []) for name in namespace["__required_keys__"] | namespace["__optional_keys__"])
    yield from (
        (name, [encoded])
        for name, encoded in zip(
            namespace.get("__struct_fields__", ()), namespace.get("__struct_encode_fields__", ()), strict=False
        )
    )


def alias_texts(field: Any) -> list[str]:
    """Returns the further names of a field of pydantic, or of a parameter of FastAPI. May raise."""
    if type(field) is str:
        return []
    return [text for part in _PYDANTIC_NAMES for text in _alias_texts(getattr(field, part, None))]


def _alias_texts(alias: Any) -> list[str]:
    """Returns the names that an alias of pydantic stands for: a text, a path or a choice of these."""
    if type(alias) is str:
        return [alias]
    choices, path = getattr(alias, "choices", None), getattr(alias, "path", None)
    if type(choices) is list:
        return [text for choice in choices for text in _alias_texts(choice)]
    parts = [part for part in path if type(part) is str] if type(path) is list else []
    return [".".join(parts), parts[-1]] if parts else []


def _metadata_texts(metadata: Any) -> list[Any]:
    """Returns the texts in the metadata of a field, where libraries keep its name in the data."""
    values = list(metadata.values()) if isinstance(metadata, Mapping) else []
    values += [inner for value in values if type(value) is dict for inner in value.values()]
    return [value for value in values if type(value) is str]
