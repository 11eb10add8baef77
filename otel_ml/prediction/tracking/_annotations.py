"""Reads the annotation and the default of a parameter."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml.prediction.boundary._records import alias_texts, class_names
from otel_ml.quality import ColumnNames

_FRAMEWORKS: Final = frozenset(
    ("starlette", "fastapi", "flask", "werkzeug", "django", "aiohttp", "litestar", "sanic", "tornado", "falcon", "grpc")
)
_INJECTED: Final = frozenset(("Depends", "Security", "Header", "Cookie"))
"""Markers of FastAPI for arguments that are not model input."""
_SCALARS: Final = frozenset((int, float, str, bool))
_UNIONS: Final = (typing.Union, types.UnionType)
_DEPTH: Final = 4


def resolved_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Returns the signature of a function; text annotations are resolved where possible. May raise."""
    signature = inspect.signature(function)
    inner: Any = inspect.unwrap(function)
    while isinstance(inner, partial):
        inner = inspect.unwrap(inner.func)
    names = getattr(inner, "__globals__", None) or getattr(type(inner).__call__, "__globals__", None)
    if type(names) is not dict:
        return signature
    parameters = [each.replace(annotation=_resolve(each.annotation, names)) for each in signature.parameters.values()]
    returned = _resolve(signature.return_annotation, names)
    return signature.replace(parameters=parameters, return_annotation=returned)


def readable_signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Returns the signature of a function; None if it has none. What an annotation cannot name stays unresolved."""
    signature = attempt(resolved_signature, function)
    if signature is None and sys.version_info >= (3, 14):  # annotations are code there, which runs when they are read
        from annotationlib import Format

        return attempt(lambda: inspect.signature(function, annotation_format=Format.FORWARDREF))
    return signature


def _resolve(annotation: Any, names: dict[str, Any]) -> Any:
    if type(annotation) is not str:
        return annotation
    holder = SimpleNamespace(__annotations__={"it": annotation})
    hints = attempt(lambda: typing.get_type_hints(holder, names, include_extras=True))
    return annotation if hints is None else hints["it"]


def is_injected(parameter: inspect.Parameter) -> bool:
    """Whether a framework supplies the parameter, such as a dependency or a header, so that it is not model input."""
    marked = any(type(mark).__name__ in _INJECTED and _module(type(mark)) == "fastapi" for mark in _marks(parameter))
    return marked or any(is_of_framework(cls) for cls in _members(parameter))


def is_of_framework(cls: type | None) -> bool:
    """Whether a web framework defines the class."""
    return _module(cls) in _FRAMEWORKS


def is_scalar(parameter: inspect.Parameter) -> bool:
    """Whether the parameter takes one plain value, or None."""
    members = set(_members(parameter)) - {type(None)}
    return bool(members) and members <= _SCALARS


def has_own_type(parameter: inspect.Parameter) -> bool:
    """Whether the annotation is more than a scalar, `object` or `Any`."""
    return bool(set(_members(parameter)) - {*_SCALARS, object, Any, type(None)})


def declared_column(parameter: inspect.Parameter, columns: ColumnNames) -> str | None:
    """Returns the declared column that the parameter's name or an alias means; None for any other parameter."""
    texts = (text for mark in _marks(parameter) for text in attempt(alias_texts, mark) or ())
    return columns.find_field((*texts, parameter.name))


def columns_declared(parameter: inspect.Parameter, columns: ColumnNames) -> int:
    """Counts the declared columns among the fields of the parameter's class, also in a list or a union."""
    found: set[str | None] = set()
    for cls in _classes_in(parameter.annotation, _DEPTH):
        names = attempt(class_names, cls)
        if names is not None:
            found.update(columns.find_field((*names.aliases.get(name, ()), name)) for name in names.fields)
    return len(found - {None})


def _classes_in(annotation: Any, depth: int) -> Iterator[type]:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        yield annotation
    elif depth:
        for part in typing.get_args(annotation):
            yield from _classes_in(part, depth - 1)


def _members(parameter: inspect.Parameter) -> list[Any]:
    """Returns the type of the parameter, or the types of a union; of a generic type its origin."""
    if parameter.annotation is parameter.empty:
        return []
    return list(_union_members(parameter.annotation, _DEPTH))


def _union_members(annotation: Any, depth: int) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if depth and (origin is typing.Annotated or origin in _UNIONS):
        parts = typing.get_args(annotation)
        for part in parts[:1] if origin is typing.Annotated else parts:
            yield from _union_members(part, depth - 1)
    else:
        found = annotation if origin is None else origin
        if isinstance(found, type) or found is Any:
            yield found


def _marks(parameter: inspect.Parameter) -> tuple[Any, ...]:
    return (parameter.default, *getattr(parameter.annotation, "__metadata__", ()))


def _module(cls: type | None) -> str:
    module = getattr(cls, "__module__", "")
    return module.partition(".")[0] if type(module) is str else ""
