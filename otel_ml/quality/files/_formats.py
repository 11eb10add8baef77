"""Parquet, Arrow and JSON Lines files as batches of columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from otel_ml.quality.counting._cells import ABSENT
from otel_ml.quality.files._compression import open_stream, uncompressed_name
from otel_ml.quality.files._csv import CsvFile, CsvFormat
from otel_ml.quality.files._errors import DataFileError, load_pyarrow

BATCH_ROWS: Final = 65_536
Convert: TypeAlias = Callable[[Any], Any]
"""Returns the values of an arrow array."""
_CSV: Final = (".csv", ".tsv")
_JSON: Final = (".jsonl", ".ndjson", ".json")
_PARQUET: Final = (".parquet", ".pq")
_ARROW: Final = (".feather", ".arrow", ".ipc")
_BUFFER_BYTES: Final = 1 << 16
_JSON_SAMPLE: Final = 1_000
"""Rows of a JSON Lines file whose names count as its columns."""


class DataFile(Protocol):
    """One open file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""

    @property
    def index(self) -> tuple[str, ...]:
        """The index of a frame as pandas stored it. It can be read, but does not count as a column."""

    @property
    def rows(self) -> int | None:
        """Rows of the file; None if the format does not say."""

    def batches(self, columns: Collection[str]) -> Iterator[tuple[dict[str, Any], int]]:
        """Yields those of these columns that the file has, and the number of rows, batch by batch."""


class _ParquetFile:
    def __init__(self, path: Path, convert: Convert) -> None:
        from pyarrow import parquet

        self._path = path
        self._convert = convert
        with parquet.ParquetFile(path) as file:
            self.names, self.index = _split_index(file.schema_arrow)
            self.rows: int = file.metadata.num_rows

    def batches(self, columns: Collection[str]) -> Iterator[tuple[dict[str, Any], int]]:
        from pyarrow import parquet

        wanted = [name for name in (*self.names, *self.index) if name in columns]
        with parquet.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
                yield _values(batch, self._convert), batch.num_rows


class _ArrowFile:
    """A file of Arrow record batches: Feather, or a stream of them."""

    rows = None

    def __init__(self, path: Path, convert: Convert) -> None:
        self._path = path
        self._convert = convert
        with self._open() as reader:
            self.names, self.index = _split_index(reader.schema)

    def batches(self, columns: Collection[str]) -> Iterator[tuple[dict[str, Any], int]]:
        with self._open() as reader:
            wanted = [place for place, name in enumerate(reader.schema.names) if name in columns]
            count = getattr(reader, "num_record_batches", None)
            for batch in reader if count is None else map(reader.get_batch, range(count)):
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    part = batch.slice(start, BATCH_ROWS).select(wanted)
                    yield _values(part, self._convert), min(BATCH_ROWS, batch.num_rows - start)

    def _open(self) -> Any:
        pyarrow = load_pyarrow()
        source = pyarrow.memory_map(str(self._path))
        try:
            return pyarrow.ipc.open_file(source)
        except pyarrow.ArrowInvalid:
            source.seek(0)
            return pyarrow.ipc.open_stream(source)


class _JsonFile:
    """One JSON object a line, an array of objects, or a frame as one object: by column, or with columns and data."""

    rows = None
    index = ()

    def __init__(self, path: Path, absent: object) -> None:
        self._path = path
        self._absent = absent
        names: dict[str, None] = {}
        for _, row in zip(range(_JSON_SAMPLE), self._rows(), strict=False):
            names.update(dict.fromkeys(row))
        self.names = tuple(names)

    def batches(self, columns: Collection[str]) -> Iterator[tuple[dict[str, Any], int]]:
        held: list[Mapping[str, Any]] = []
        for row in self._rows():
            held.append(row)
            if len(held) == BATCH_ROWS:
                yield _columns(held, columns, self._absent), len(held)
                held = []
        if held:
            yield _columns(held, columns, self._absent), len(held)

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        objects = self._objects()
        first = list(islice(objects, 2))
        return chain(_frame_rows(first[0]) if len(first) == 1 else first, objects)

    def _objects(self) -> Iterator[Mapping[str, Any]]:
        with open_stream(self._path) as stream:
            text = TextIOWrapper(BufferedReader(stream), "utf-8-sig")
            position = 0
            try:
                for position, line in enumerate(text, 1):
                    if position == 1 and (line.strip() == "{" or line.lstrip().startswith("[")):
                        found = json.loads(line + text.read())
                        yield from map(self._check, found if isinstance(found, list) else [found])
                    elif line.strip():
                        yield self._check(json.loads(line), position)
            except UnicodeError:
                raise DataFileError(f"{self._path}, line {position + 1}: not UTF-8 text") from None
            except (ValueError, RecursionError) as error:
                if isinstance(error, DataFileError):
                    raise
                raise DataFileError(f"{self._path}, line {position}: not JSON") from None

    def _check(self, row: object, position: int = 1) -> Mapping[str, Any]:
        if not isinstance(row, dict):
            raise DataFileError(
                f"{self._path}, line {position}: give one JSON object a line, with the columns as its keys"
            )
        return row


def open_file(path: Path, form: CsvFormat, *, as_objects: bool = False) -> DataFile | None:
    """Opens a file by the end of its name; None for a format that cannot be read.

    Args:
        path: The file.
        form: How CSV is written.
        as_objects: Whether a typed column becomes a list of Python objects, which loses nothing, or an array.
    """
    convert = _objects if as_objects else _column
    name = uncompressed_name(path)
    if name.endswith(_CSV):
        return CsvFile(path, form)
    if name.endswith(_JSON):
        return _JsonFile(path, None if as_objects else ABSENT)
    if name.endswith(_PARQUET):
        return _ParquetFile(path, convert)
    return _ArrowFile(path, convert) if name.endswith(_ARROW) else None


def is_data_file(path: Path) -> bool:
    """Whether the name of a file ends like one of a format that can be read."""
    return uncompressed_name(path).endswith((*_CSV, *_JSON, *_PARQUET, *_ARROW))


def _split_index(schema: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the names of the columns, and those of the index that pandas stored."""
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    return tuple(name for name in schema.names if name not in index), tuple(
        name for name in index if name in schema.names
    )


def _values(batch: Any, convert: Convert) -> dict[str, Any]:
    return {name: convert(batch.column(place)) for place, name in enumerate(batch.schema.names)}


def _objects(array: Any) -> Any:
    return array.to_pylist()


def _column(array: Any) -> Any:
    from pyarrow import float64, types

    if types.is_decimal(array.type):
        array = array.cast(float64())
    is_plain = types.is_integer(array.type) or types.is_floating(array.type) or types.is_temporal(array.type)
    if is_plain:
        return array.to_numpy(zero_copy_only=False)
    is_list = types.is_list(array.type) or types.is_large_list(array.type) or types.is_fixed_size_list(array.type)
    if is_list and types.is_floating(array.type.value_type):
        return _vectors(array)
    is_flat = types.is_string(array.type) or types.is_large_string(array.type) or types.is_boolean(array.type)
    return array if is_flat or types.is_dictionary(array.type) else array.to_pylist()


def _vectors(array: Any) -> list[Any]:
    """Returns lists of floats as arrays, views into one, because a list of Python floats takes eight times the room."""
    return [scalar.values.to_numpy(zero_copy_only=False) if scalar.is_valid else None for scalar in array]


def _frame_rows(only: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the rows of a frame that is the only object of a file, as `DataFrame.to_json` writes it by default."""
    names, data = only.get("columns"), only.get("data")
    if isinstance(names, list) and isinstance(data, list):
        return [dict(zip(map(str, names), values, strict=True)) for values in data]
    if not all(isinstance(values, dict) for values in only.values()):
        return [only]
    keys = dict.fromkeys(key for values in only.values() for key in values)
    return [{name: values[key] for name, values in only.items() if key in values} for key in keys]


def _columns(rows: list[Mapping[str, Any]], columns: Collection[str], absent: object) -> dict[str, list[Any]]:
    found = {name: [row.get(name, absent) for row in rows] for name in columns}
    return {name: values for name, values in found.items() if any(value is not absent for value in values)}
