"""Reads the columns of a data set of any kind, under the names that they have in a prediction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from otel_ml import semconv
from otel_ml._guard import attempt
from otel_ml._values.arrays import plain_array
from otel_ml._values.feature_names import feature_name, positional_names
from otel_ml._values.kinds import kind, pairs, sequence
from otel_ml.quality._feature import ProfileError

_VALUES_OF_ROW: Final = 1 << 20
_TAKEN: Final = "a frame of pandas, polars or arrow, an array, a mapping of columns or a list of rows"

_RESERVED: Final = {semconv.PREDICTION_FEATURE: "output; give `score`", semconv.LABEL_FEATURE: "label; give `label`"}


class NamedColumns:
    """Columns of equal length under the names that they have in a prediction.

    Args:
        data: The data set.
        names: Names of the columns of an array, and of rows without names, if there are as many.
    """

    def __init__(self, data: Any, names: Sequence[str] = ()) -> None:
        self.columns: dict[str, Any] = {}
        self._names: dict[Hashable, str] = {}
        for position, (key, values) in enumerate(_columns(data, names)):
            name = feature_name(key, position, self.columns)
            self.columns[name] = values
            self._names.setdefault(key, name)
        for name, what in _RESERVED.items():
            if name in self.columns:
                raise ProfileError(f"a column cannot be called {name}: that is the {what}")
        found = [attempt(len, values) for values in self.columns.values()]
        lengths = {length for length in found if length is not None}
        if None in found:
            raise ProfileError(f"the values of a column must be a sequence: give {_TAKEN}")
        if len(lengths) > 1:
            raise ProfileError(f"the columns differ in length: {', '.join(map(str, sorted(lengths)))}")
        self.rows = lengths.pop() if lengths else 0

    @property
    def aliases(self) -> dict[str, str]:
        """Name by the text that the user gives, where they differ."""
        given = {column_text(key): name for key, name in self._names.items()}
        return {text: name for text, name in given.items() if text != name}

    def find(self, given: Any) -> str:
        """Returns the name of the column that the user means, which may not be there."""
        return attempt(self._names.get, given) or column_text(given)

    def name(self, given: Any) -> str:
        """Returns the name of the column that the user means; raises a ProfileError if there is none."""
        name = self.find(given)
        if name not in self.columns:
            raise ProfileError(_unknown(name, self.columns))
        return name

    def names(self, given: Iterable[Any]) -> frozenset[str]:
        """Returns the names of several columns; a text is the name of one."""
        return frozenset(map(self.name, (given,) if isinstance(given, str) else given))


class PartNames:
    """Names of columns that may be in other parts of the data."""

    def __init__(self, part: NamedColumns) -> None:
        self.name = part.find

    def names(self, given: Iterable[Any]) -> frozenset[str]:
        """Returns the names of several columns; a text is the name of one."""
        return frozenset(map(self.name, (given,) if isinstance(given, str) else given))


class GivenNames:
    """Names of columns without the data.

    Args:
        aliases: Name by the text that the user gives, where they differ.
        columns: The columns that there are; None if that is not known yet.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None, columns: Collection[str] | None = None) -> None:
        self._aliases = {} if aliases is None else aliases
        self._columns = columns

    def name(self, given: Any) -> str:
        """Returns the name of the column that the user means; raises a ProfileError if there is none."""
        text = column_text(given)
        name = text if self._columns is not None and text in self._columns else self._aliases.get(text, text)
        if self._columns is not None and name not in self._columns:
            raise ProfileError(_unknown(name, self._columns))
        return name

    def names(self, given: Iterable[Any]) -> frozenset[str]:
        """Returns the names of several columns; a text is the name of one."""
        return frozenset(map(self.name, (given,) if isinstance(given, str) else given))


class ColumnLookup(Protocol):
    """Finds the columns that the user names."""

    @property
    def name(self) -> Callable[[Any], str]: ...
    def names(self, given: Iterable[Any]) -> frozenset[str]: ...


def column_text(given: Any) -> str:
    """Returns the text that stands for a column that the user names."""
    return given if isinstance(given, str) else feature_name(given, 0, ())


def _unknown(name: str, columns: Collection[str]) -> str:
    return f"no column {name!r}; there are {', '.join(columns) or 'none'}"


def _columns(data: Any, names: Sequence[str]) -> Iterable[tuple[Any, Any]]:
    family = kind(data)
    if family == "pandas":
        return [(key, data.iloc[:, position]) for position, key in enumerate(data.columns.tolist())]
    if family == "polars":
        return [(column.name, column) for column in data.get_columns()]
    if family == "arrow":
        return list(zip(data.schema.names, data.columns, strict=True))
    if family in {"array", "tensor"}:
        return _array_columns(data, family, names)
    if isinstance(data, Mapping):
        return list(data.items())
    rows = None if family else sequence(data, len(data) if hasattr(data, "__len__") else 0)
    if rows is None:
        raise ProfileError(f"cannot read data of the type {type(data).__name__}: give {_TAKEN}")
    return _row_columns(rows[0], names)


def _array_columns(data: Any, family: str, names: Sequence[str]) -> Iterable[tuple[Any, Any]]:
    array: Any = attempt(lambda: data.detach().numpy()) if family == "tensor" else data
    fields = None if array is None else array.dtype.names
    if fields:
        return [(name, array[name]) for name in fields]
    if array is None or array.ndim != 2:
        raise ProfileError(f"an array must have two dimensions, rows and columns: give {_TAKEN}")
    return zip(_names(names, array.shape[1]), plain_array(array).T, strict=True)


def _row_columns(rows: list[Any], names: Sequence[str]) -> Iterable[tuple[Any, Any]]:
    records = [found for row in rows if (found := _named_values(row)) is not None]
    if len(records) == len(rows):
        keys = dict.fromkeys(key for record in records for key in record)
        return [(key, [record.get(key) for record in records]) for key in keys]
    listed = [sequence(row, _VALUES_OF_ROW) for row in rows]
    widths = {None if found is None else found[1] for found in listed}
    if len(widths) != 1 or None in widths:
        raise ProfileError(f"rows must be mappings, or sequences of equal length: give {_TAKEN}")
    values = [found[0] for found in listed if found is not None]
    columns = [list(column) for column in zip(*values, strict=True)]
    return zip(_names(names, len(columns)), columns, strict=True)


def _named_values(row: Any) -> Mapping[Any, Any] | None:
    """Returns the values of a mapping, a row of a database, a named tuple or an object with attributes, or None."""
    found = pairs(row, _VALUES_OF_ROW)
    if found is not None:
        return dict(found[0])
    if isinstance(row, tuple):
        return dict(zip(row._fields, row, strict=True)) if hasattr(row, "_fields") else None
    fields = {} if kind(row) else getattr(row, "__dataclass_fields__", None) or getattr(row, "__dict__", {})
    return {name: getattr(row, name) for name in fields if not name.startswith("_")} or None


def _names(given: Sequence[str], count: int) -> list[str]:
    return positional_names(given if len(given) == count else None, count)
