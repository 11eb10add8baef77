"""Packs a declaration as its arguments, for another process or a file."""

from __future__ import annotations

import pickle
import sys
from dataclasses import fields
from typing import Any, Final

from otel_ml import _guard
from otel_ml.prediction._spec import ModelSpec

_CLOUDPICKLES: Final = ("cloudpickle", "joblib.externals.cloudpickle")
_KEYWORDS: Final = {"store": "ground_truth", "id_source": "id"}
"""Names of `Model` that differ from those of `ModelSpec`."""
_LOADED: Final = "loaded_at"


class _Bytes:
    """A part that plain pickle cannot take, as cloudpickle has written it."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def pack(spec: ModelSpec) -> dict[str, Any]:
    """Returns the arguments of a declaration. What cannot be pickled stays behind, and one line says so.

    The time of the last load belongs to this process and does not travel.
    """
    packed = {item.name: getattr(spec, item.name) for item in fields(ModelSpec) if item.init and item.name != _LOADED}
    for name in ("id_source", "output"):
        packed[name] = _packed_function(spec.name, _KEYWORDS.get(name, name), packed[name])
    if spec.store is not None:
        content = _guard.attempt(pickle.dumps, spec.store)
        packed["store"] = None if content is None else _Bytes(content)
        if content is None:
            _warn_left_out(spec.name, "ground_truth", f"a {type(spec.store).__name__} cannot be pickled")
    return packed


def unpack(packed: dict[str, Any]) -> ModelSpec:
    """Returns the declaration that was packed, perhaps by an earlier version; unknown parts are ignored."""
    known = {item.name for item in fields(ModelSpec) if item.init}
    parts = {name: value for name, value in packed.items() if name in known}
    for name, value in parts.items():
        if isinstance(value, _Bytes):
            parts[name] = _unpacked(parts["name"], _KEYWORDS.get(name, name), value)
    return ModelSpec(**parts)


def _packed_function(model: str, keyword: str, function: Any) -> Any:
    if function is None or _guard.attempt(pickle.dumps, function) is not None:
        return function  # unchanged: cloudpickle handles functions of `__main__` itself
    for name in _CLOUDPICKLES:
        module = sys.modules.get(name)
        content = None if module is None else _guard.attempt(module.dumps, function)
        if content is not None:
            return _Bytes(content)
    _warn_left_out(model, keyword, "it cannot be pickled; use a function with a name at the top of a module")
    return None


def _unpacked(model: str, keyword: str, packed: _Bytes) -> Any:
    try:
        return pickle.loads(packed.content)  # noqa: S301 - a part of the pickle that is being loaded
    except (ImportError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        _warn_left_out(model, keyword, str(error))
        return None


def _warn_left_out(model: str, keyword: str, reason: str) -> None:
    _guard.warn_once(
        f"transfer.{keyword}.{model}", f"otel-ml: {keyword}= of the copied model {model!r} is left out: {reason}"
    )
