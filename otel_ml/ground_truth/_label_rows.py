"""Reads labels from tuples, mappings, Series and frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Any, Final, NamedTuple, TypeAlias

from otel_ml import _guard
from otel_ml._logged_prediction import NAME_LIMIT
from otel_ml._values import CLASS_LIMIT, ID_LIMIT, few_names, id_text, line, number, written_number
from otel_ml._values.kinds import FRAMES, kind, pairs, sequence
from otel_ml._values.labels import label_text
from otel_ml._values.missing import is_missing
from otel_ml._values.moments import find_seconds
from otel_ml.ground_truth._records import (
    ANY_MODEL,
    INVALID_MOMENT,
    UNREADABLE,
    LabelOutcome,
    StoredLabel,
)

Labels: TypeAlias = Iterable[Any] | Mapping[Any, Any]
_NO_LABEL: Final = StoredLabel("", "", None, 0.0)
_PLAIN: Final = frozenset({str, int, float, bool})
_ARRAYS: Final = frozenset({"array", "sparse", "tensor"})
_IDS: Final = ("prediction_id", "id")


class GivenLabel(NamedTuple):
    """One label as it was given."""

    prediction_id: object
    label: object
    at: object = None
    model: object = None


_UNREAD: Final = GivenLabel(None, None)
"""Stands for a value that is not a label."""


def label_rows(labels: Any, model: str | None) -> Iterator[GivenLabel]:
    """Yields the labels of a container; a container that is not understood is one unread label."""
    family = kind(labels)
    if family == "array" and labels.dtype.names is not None:
        labels = {name: labels[name] for name in labels.dtype.names}
    if family in FRAMES:
        rows = _of_frame(labels)
    elif family in {"series", "polars_series"}:
        rows = map(GivenLabel, labels.index.tolist(), labels.tolist()) if family == "series" else iter([_UNREAD])
    elif isinstance(labels, Mapping):
        rows = _of_mapping(labels)
    elif isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        rows = iter([_UNREAD])
    else:
        rows = map(_of_row, labels)
    for row in rows:
        yield row if model is None or not is_missing(row.model) else row._replace(model=model)


def read_label(row: GivenLabel, clock: Callable[[], float]) -> StoredLabel | LabelOutcome:
    """Reads a label; one that cannot be read has failed."""
    name = id_text(row.prediction_id, ID_LIMIT)
    label = row.label
    is_plain = type(label) in _PLAIN and not (type(label) is str and len(label) > CLASS_LIMIT)
    read = _guard.call("ground_truth.read_label", _read_plain if is_plain else _read_value, label)
    value, digits = read or (None, None)
    model = ANY_MODEL if is_missing(row.model) else line(row.model, NAME_LIMIT)
    if not name or not value or model is None:
        return LabelOutcome("failed", _NO_LABEL, reason=UNREADABLE)
    at = clock() if row.at is None else find_seconds(row.at)
    if at is None:
        return LabelOutcome("failed", _NO_LABEL, reason=INVALID_MOMENT)
    return StoredLabel(name, value, digits, at, model)


def _read_value(label: object) -> tuple[str | None, float | None]:
    """Returns the canonical text of a label, and the number that it is."""
    label = _unwrap(label)
    only = sequence(label, 1)
    return label_text(label), written_number(only[0][0] if only is not None and only[1] == 1 else label)


def _unwrap(label: Any) -> object:
    """Returns the only value of an array, such as the row of a column; the only row of a table, or of a list of rows.

    A list of one value stays a list: it may be a set of one class.
    """
    family = kind(label)
    if family == "sparse":
        label = _guard.attempt(_only_row, label)
    for _ in range(2):
        found = sequence(label, 1)
        if found is None or found[1] != 1 or (family not in _ARRAYS and sequence(found[0][0], 0) is None):
            break
        label = found[0][0]
    return label


def _only_row(label: Any) -> object:
    """Returns the row of a sparse array that has one. May raise."""
    return label.toarray() if label.shape[0] == 1 else None


_read_plain: Final = lru_cache(maxsize=1024, typed=True)(_read_value)
"""The same for short values of builtin types: a job has few of them and many labels."""


def _of_row(row: object) -> GivenLabel:
    """Reads a tuple, a list, an array or a mapping; a text is never taken apart."""
    named = pairs(row, 100)
    if named is not None:
        return _of_names(dict(named[0]))
    found = sequence(row, len(GivenLabel._fields))
    if found is None or not 2 <= found[1] <= len(GivenLabel._fields):
        return _UNREAD
    return GivenLabel(*found[0])


def _of_mapping(labels: Mapping[Any, Any]) -> Iterator[GivenLabel]:
    """Reads labels by id; or one row, or columns, if the keys are the names of these."""
    name = next((name for name in _IDS if name in labels), None)
    if name is None or "label" not in labels:
        return map(GivenLabel, labels.keys(), labels.values())
    return iter([_of_names(labels)]) if sequence(labels[name], 0) is None else _of_frame(labels)


def _of_names(values: Mapping[Any, Any]) -> GivenLabel:
    name = next((name for name in _IDS if name in values), None)
    if name is None or "label" not in values:
        return _UNREAD
    return GivenLabel(values[name], values["label"], values.get("at"), values.get("model"))


def _of_frame(frame: Any) -> Iterator[GivenLabel]:
    """Reads a frame of pandas or polars, a table of arrow or a mapping of columns, by the names of the columns.

    Without a column ``label`` there may be one for each class, of 0 and 1. The ids may be the index.
    """
    if kind(frame) == "pandas" and frame.index.name in _IDS and frame.index.name not in frame.columns:
        frame = frame.reset_index()
    names = list(frame if isinstance(frame, Mapping) else getattr(frame, "column_names", None) or frame.columns)
    columns = {name: _cells(frame[name]) for name in (*_IDS, "label", "at", "model") if name in names}
    if len({len(column) for column in columns.values()}) > 1:
        return iter([_UNREAD])
    if "at" in columns:
        columns["at"] = [None if is_missing(cell) else cell for cell in columns["at"]]
    if "label" not in columns:
        columns["label"] = _indicators({name: _cells(frame[name]) for name in names if name not in columns})
    prediction_id = next((columns[name] for name in _IDS if name in columns), None)
    if prediction_id is None or not columns["label"]:
        has = few_names([str(name) for name in names])
        hint = "otel-ml: a frame of labels needs the columns prediction_id and label"
        _guard.warn_once("ground_truth.columns", f"{hint}; this one has {has}: rename them")
        return iter([_UNREAD])
    return map(
        GivenLabel, prediction_id, columns["label"], columns.get("at", repeat(None)), columns.get("model", repeat(None))
    )


def _indicators(columns: dict[Any, list[Any]]) -> list[Any]:
    """Returns what each row has of each class; nothing if the columns do not have two classes of 0 and 1."""
    if len(columns) < 2 or any(number(cell) not in (0.0, 1.0) for cells in columns.values() for cell in cells):
        return []
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cells(column: Any) -> list[Any]:
    for method in ("to_pylist", "to_list"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)
