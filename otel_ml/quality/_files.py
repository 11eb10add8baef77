"""Reads Parquet and CSV files as columns of values, whole or in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from otel_ml import _extras

_BATCH_ROWS: Final = 65_536
_BLOCK_BYTES: Final = 8 << 20
_BUFFER_BYTES: Final = 1 << 16


class DataFileError(ValueError):
    """A data file that cannot be read; the message says why."""


class RowBatch(NamedTuple):
    """Some rows of a file."""

    columns: dict[str, Sequence[object]]
    rows: int
    total: int | None
    """Rows of the whole file; None if the format does not say."""


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[RowBatch]:
    """Yields the rows of a ``.parquet`` or ``.csv`` file in batches; only the named columns that it has.

    Raises:
        DataFileError: The file is missing, of another kind or damaged, or pyarrow is not installed.
    """
    if not path.is_file():
        raise DataFileError(f"no file {path}")
    with _errors(path):
        batches = _parquet if path.suffix in {".parquet", ".pq"} else _csv if path.suffix == ".csv" else None
        if batches is None:
            raise DataFileError(f"{path}: give a .parquet or .csv file")
        yield from batches(path, columns)


def read_columns(path: Path) -> dict[str, Sequence[object]]:
    """Reads all columns of a file into memory."""
    parts = list(read_batches(path))
    if not parts:
        raise DataFileError(f"{path} has no rows")
    if len(parts) == 1:
        return parts[0].columns
    return {name: _concatenated([part.columns[name] for part in parts]) for name in parts[0].columns}


def _parquet(path: Path, columns: Sequence[str] | None) -> Iterator[RowBatch]:
    from pyarrow import parquet

    with parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        names = file.schema_arrow.names
        wanted = None if columns is None else [name for name in names if name in columns]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
            yield RowBatch(_values(batch), batch.num_rows, file.metadata.num_rows)


def _csv(path: Path, columns: Sequence[str] | None) -> Iterator[RowBatch]:
    from pyarrow import csv

    read = csv.ReadOptions(block_size=_BLOCK_BYTES)
    convert = csv.ConvertOptions(strings_can_be_null=True)
    with csv.open_csv(path, read_options=read, convert_options=convert) as reader:
        for batch in reader:
            names = batch.schema.names
            kept = batch.select([place for place, name in enumerate(names) if columns is None or name in columns])
            yield RowBatch(_values(kept), batch.num_rows, None)


def _values(batch: Any) -> dict[str, Sequence[object]]:
    return {name: _column(batch.column(position)) for position, name in enumerate(batch.schema.names)}


def _column(array: Any) -> Sequence[object]:
    from pyarrow import types

    is_plain = types.is_integer(array.type) or types.is_floating(array.type) or types.is_temporal(array.type)
    values: Sequence[object] = array.to_numpy(zero_copy_only=False) if is_plain else array.to_pylist()
    return values


def _concatenated(parts: Sequence[Sequence[object]]) -> Sequence[object]:
    import numpy as np

    if all(isinstance(part, np.ndarray) for part in parts):
        whole: Any = np.concatenate([np.asarray(part) for part in parts])
        return whole  # type: ignore[no-any-return]
    return [value for part in parts for value in part]


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        pa: Any = _extras.load("pyarrow", "quality")
    except ImportError as error:
        raise DataFileError(str(error)) from error
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataFileError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
