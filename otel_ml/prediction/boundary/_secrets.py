"""Finds sensitive values in the input of a model as texts: log lines inside the prediction must not contain them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values import TRUNCATED, cell
from otel_ml._values.kinds import FRAMES, builtin, kind, members, sequence
from otel_ml._values.missing import is_missing
from otel_ml.prediction.boundary._columns import is_uncertain, sensitive_values, undeclared_values
from otel_ml.prediction.boundary._feature_batch import FeatureBatch, Features
from otel_ml.prediction.boundary._feature_rows import CUT, PartialRow
from otel_ml.prediction.boundary._payloads import parse_json
from otel_ml.prediction.boundary._records import find_record
from otel_ml.quality import ColumnNames

SECRET_ROWS: Final = 1000
"""Rows of a batch whose sensitive values are replaced in log lines."""
SECRET_LENGTH: Final = 3
"""Shorter values are not replaced: they would be found everywhere."""
_VALUES: Final = 20_000
_DEPTH: Final = 8
_DATE: Final = re.compile(r"(\d{4})-0?(\d{1,2})-0?(\d{1,2})(?:T.*)?")


def secret_texts(
    request: object, snapshot: Features | None, columns: ColumnNames, *, is_whole: bool
) -> tuple[str, ...]:
    """Returns the values that are or may be sensitive as texts, the longest first; bounded.

    Args:
        request: What the prediction was called with.
        snapshot: The copy of its features; None if they could not be matched to the columns.
        columns: The declared columns.
        is_whole: Whether the features are all of the request.
    """
    values: Iterable[object]
    if is_whole and snapshot is not None and not _lacks_values(snapshot):
        values = _snapshot_values(snapshot, columns)
    else:
        values = _request_values(request, columns)
    texts = {text for value in values for text in _forms(value)}
    return tuple(sorted((text for text in texts if len(text) >= SECRET_LENGTH), key=len, reverse=True))


def _lacks_values(snapshot: Features) -> bool:
    if isinstance(snapshot, FeatureBatch):
        return bool(snapshot.marks) or snapshot.total_columns > len(snapshot.columns)
    return isinstance(snapshot, PartialRow) or CUT in snapshot or any(map(_is_cut, snapshot.values()))


def _is_cut(value: object) -> bool:
    """Whether a copied value was cut."""
    if type(value) is dict:
        return TRUNCATED in value or any(map(_is_cut, value.values()))
    if type(value) is list:
        return any(map(_is_cut, value))
    return type(value) is str and value.endswith(" bytes>")  # as `cell` copies bytes


def _snapshot_values(snapshot: Features, columns: ColumnNames) -> Iterator[object]:
    rows = [snapshot] if isinstance(snapshot, dict) else map(snapshot.row, range(min(snapshot.rows, SECRET_ROWS)))
    for row in rows:
        yield from (value for _, value in sensitive_values(row, columns))
        if is_uncertain(row, row, columns):
            yield from undeclared_values(row, columns)


def _request_values(request: object, columns: ColumnNames) -> list[object]:
    """Returns the values of sensitive columns anywhere in a request; all undeclared ones if a column was not found."""
    values = list(islice(_walk(request, columns, "", _DEPTH), _VALUES))
    found = {columns.sensitive_key(path) for path, value in values if not is_missing(value)}
    is_sure = found >= columns.sensitive_keys
    return [
        value
        for path, value in values
        if columns.is_sensitive(path)
        or not (is_sure or columns.candidates(path) or columns.candidates(path.rpartition(".")[2]))
    ]


def _walk(value: Any, columns: ColumnNames, path: str, depth: int) -> Iterator[tuple[str, object]]:
    """Yields path and value of all scalars in mappings, records, frames, sequences and JSON texts, down to a depth.

    It yields None for an end without a scalar: the caller bounds the ends, since graphs and empty lists have many.
    """
    if depth == 0:
        yield path, None
        return
    family = kind(value)
    named = find_record(value, columns) if family not in FRAMES else attempt(_frame_columns, value, family)
    parsed = parse_json(value)
    inner = [] if parsed is None else [("", parsed)]
    listed = sequence(value, SECRET_ROWS) or members(value, SECRET_ROWS) or attempt(_flat, value, family)
    if named is not None:
        inner = [(name if type(name) is str else _name_text(name), item) for name, item in named]
    elif listed is not None:
        inner = [("", item) for item in listed[0]]
    is_scalar = named is None and listed is None
    if is_scalar or not inner:
        yield path, value if is_scalar else None
    for name, item in inner:
        yield from _walk(item, columns, f"{path}.{name}" if path and name else path or name, depth - 1)


def _frame_columns(frame: Any, family: str) -> list[tuple[Any, Any]]:
    """Returns the columns of a frame, and of pandas its index. May raise."""
    if family == "pandas":
        part = frame.iloc[:SECRET_ROWS]
        levels = [(name, part.index.get_level_values(level)) for level, name in enumerate(part.index.names) if name]
        return [*part.items(), *levels]
    if family == "polars":
        return [(column.name, column) for column in frame.head(SECRET_ROWS).get_columns()]
    return list(zip(frame.column_names, frame.slice(0, SECRET_ROWS).columns, strict=True))


def _flat(value: Any, family: str) -> tuple[list[Any], int] | None:
    """Returns the values of an array of more than two dimensions. May raise."""
    return (value.ravel()[:_VALUES].tolist(), value.size) if family == "array" and value.ndim > 2 else None


def _name_text(name: object) -> str:
    """Returns a key of a mapping as text, with a point between the parts of a tuple."""
    if type(name) is tuple:
        return ".".join(map(_name_text, name))
    found = builtin(name)
    return found.decode("utf-8", "replace") if type(found) is bytes else str(found)


def _forms(value: object) -> Iterator[str]:
    """Yields the texts that a value has when it is printed."""
    plain = builtin(value)
    if type(plain) is bytes:
        yield plain.decode("utf-8", "replace")
        return
    found = cell(value)
    if found is None:
        return
    text = str(found)
    yield text
    if type(found) is float and found.is_integer():
        yield str(int(found))
    date = _DATE.fullmatch(text)
    if date is not None:
        yield text.replace("T", " ")
        yield text[:10]
        yield ", ".join(date.groups())
