"""Finds the rows inside requests in the wire formats of model servers, and in JSON texts.

The formats: MLflow, KServe (both protocols), TensorFlow Serving, Seldon, SageMaker, Azure ML and TorchServe.
"""

from __future__ import annotations

import json
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values.kinds import kind, pairs, sequence
from otel_ml.prediction.boundary._batch_readers import common_length
from otel_ml.prediction.boundary._feature_rows import is_row
from otel_ml.prediction.boundary._records import find_record, unwrap
from otel_ml.quality import ColumnNames

JSON_LIMIT: Final = 1 << 18
"""Characters of a JSON text that is read."""
_LEVELS: Final = 3
_ENTRIES: Final = 32
"""Named values that an envelope has at most."""
_FORMATS: Final = frozenset(
    ("instances", "inputs", "Inputs", "dataframe_records", "dataframe_split", "input_data", "ndarray", "tensor")
)
"""Keys that only wire formats use, whatever the other keys are."""
_USUAL: Final = frozenset(("data", "rows", "records", "samples", "examples", "items", "batch", "features", "input"))
"""Keys that hold the rows if there is no other key."""
_BODIES: Final = frozenset(("body", "data", "jsonData"))
"""Keys that hold one request of a list, or its text."""
_NAMES: Final = ("columns", "names")
_VALUES: Final = ("data", "ndarray", "values")
_SCALARS: Final = frozenset((float, int, bool, str, type(None)))
_JSON_STARTS: Final = ("{", "[")


def open_payload(value: object, columns: ColumnNames | None = None) -> object:
    """Returns the rows that a request carries, or the value itself if it is not a known envelope. May raise.

    A value with a key that means a declared column is the row.

    Args:
        value: What the predicting function was called with.
        columns: The declared columns.
    """
    for _ in range(_LEVELS):
        value = unwrap(value)
        inner = _inside(value, columns)
        if inner is None:
            break
        value = inner
    return value


def parse_json(text: object) -> Any:
    """Returns the mapping or the list that a JSON text holds; None for any other text. May raise."""
    if type(text) is bytes and len(text) <= JSON_LIMIT:
        text = attempt(text.decode)
    if type(text) is not str or len(text) > JSON_LIMIT or not text.lstrip()[:1].startswith(_JSON_STARTS):
        return None
    return attempt(json.loads, text)


def _inside(value: object, columns: ColumnNames | None) -> object:
    cls = type(value)
    if cls is str or cls is bytes:
        return parse_json(value)
    if cls is list:
        return _bodies(value)  # type: ignore[arg-type]
    if kind(value) or cls in _SCALARS:
        return None
    entries = _entries(value)
    if not entries or (columns is not None and any(columns.candidates(name) for name, _ in entries)):
        return None
    found = _in_entries(entries, columns)
    return find_rows(value) if found is None and _is_table(value) else found


def _in_entries(entries: list[tuple[str, Any]], columns: ColumnNames | None) -> object:
    """Returns the rows under a key of a known format, or else those with declared columns if they are in one place."""
    for name, entry in entries:
        is_known = name in _FORMATS or (len(entries) == 1 and name in _USUAL) or _is_table(entry)
        found = find_rows(entry) if is_known else None
        if found is None and name in _BODIES:
            found = parse_json(entry)
        if found is not None:
            return found
    declaring = [entry for _, entry in entries if columns is not None and _declares(entry, columns)]
    return find_rows(declaring[0]) if len(declaring) == 1 else None


def _is_table(value: object) -> bool:
    """Whether a mapping holds the names and the values of a table under separate keys."""
    found = pairs(value, _ENTRIES)
    names = {name for name, _ in found[0] if type(name) is str} if found is not None else set()
    return not names.isdisjoint(_NAMES) and not names.isdisjoint((*_VALUES, "tensor"))


def _entries(value: object) -> list[tuple[str, Any]]:
    """Returns the named values of a mapping or a record if it can be an envelope."""
    found = pairs(value, _ENTRIES + 1)
    items = find_record(value) if found is None else found[0]
    if items is None or len(items) > _ENTRIES:
        return []
    if all(type(item) in _SCALARS and name not in _BODIES for name, item in items if type(name) is str):
        return []
    return [(name, item) for name, item in items if type(name) is str]


def _declares(rows: object, columns: ColumnNames) -> bool:
    """Whether the first row has declared columns."""
    listed = sequence(rows, 1)
    first = find_record(listed[0][0], columns) if listed is not None and listed[0] else None
    return first is not None and any(type(name) is str and columns.candidates(name) for name, _ in first)


def _bodies(items: list[Any]) -> list[Any] | None:
    """Returns the requests in a list of ``{"body": request}``, as TorchServe gives them."""
    if not items or type(items[0]) is not dict or len(items[0]) != 1:
        return None
    name = next(iter(items[0]))
    if type(name) is not str or name not in _BODIES:
        return None
    bodies = [item[name] for item in items if type(item) is dict and len(item) == 1 and name in item]
    return [parse_json(body) or body for body in bodies] if len(bodies) == len(items) else None


def find_rows(value: object) -> object:
    """Returns the rows that a part of a request holds: a list of rows, tensors, a table in parts, columns."""
    if kind(value):
        return value
    listed = sequence(value, 1)
    if listed is not None:
        if not listed[0] or not is_row(listed[0][0]):
            return None
        return _open_tensors((sequence(value, _ENTRIES) or ([], 0))[0]) or value
    found = pairs(value, _ENTRIES)
    if found is None:
        return None
    parts = {name: part for name, part in found[0] if type(name) is str}
    names = next((parts[name] for name in _NAMES if name in parts), None)
    values = next((parts[name] for name in _VALUES if name in parts), parts.get("tensor"))
    if values is not None and (names is not None or "shape" in parts or len(parts) == 1):
        return _table(names, _in_shape(values, parts.get("shape")))
    return value if (common_length([part for _, part in found[0]]) or 0) > 0 else None


def _table(names: Any, values: Any) -> Any:
    """Returns the columns of a table with separate names; only its values if the widths differ."""
    inner = pairs(values, _ENTRIES)
    if inner is not None:  # a tensor with its shape
        parts = dict(inner[0])
        values = _in_shape(parts.get("values"), parts.get("shape"))
    width = len(names) if type(names) is list else 0
    if not width or type(values) is not list:
        return values
    widths = {type(row) is list and len(row) for row in values}
    if widths == {False} and len(values) == width:
        return dict(zip(names, values, strict=True))
    if widths != {width}:
        return values
    return dict(zip(names, map(list, zip(*values, strict=True)), strict=True))


def _open_tensors(items: list[Any]) -> Any:
    """Returns tensors as columns by name, or the rows of the only one; None for anything else."""
    found = tensors(items)
    if found is None:
        return None
    only = next(iter(found.values()))
    return only if len(found) == 1 and is_row(_first(only)) else found


def tensors(items: list[Any]) -> dict[Any, Any] | None:
    """Returns the values of the tensors of the Open Inference Protocol by their names; None for anything else."""
    found: dict[Any, Any] = {}
    for tensor in items:
        if (
            type(tensor) is not dict
            or not {"name", "data"} <= tensor.keys()
            or not {"shape", "datatype"} & tensor.keys()
        ):
            return None
        found[tensor["name"]] = _in_shape(tensor["data"], tensor.get("shape"))
    return found


def _first(values: Any) -> Any:
    listed = sequence(values, 1)
    return listed[0][0] if listed is not None and listed[0] else None


def _in_shape(values: Any, shape: Any) -> Any:
    """Returns flat values of a two-dimensional shape as rows; all other values as they are."""
    if type(values) is not list or type(shape) is not list or len(shape) != 2 or any(map(is_row, values[:1])):
        return values
    width = shape[1]
    if type(width) is not int or width < 2 or len(values) % width:
        return values
    return [values[start : start + width] for start in range(0, len(values), width)]
