"""Predictions as Parquet; needs `pyarrow`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from otel_ml.console.receiving._values import dump
from otel_ml.console.storage.lists._prediction_export import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence


class ParquetFile:
    """Writes rows as the parts of a Parquet file."""

    media = "application/vnd.apache.parquet"

    def __init__(self) -> None:
        kinds = {str: pa.string(), float: pa.float64(), bool: pa.bool_(), dict: pa.string()}
        fields = {name: kinds[kind] for name, kind in COLUMNS.items()}
        self._schema = pa.schema(fields | {name: pa.timestamp("us", "UTC") for name in ("time", "label_time")})
        self._file = _Written()
        self._writer = pq.ParquetWriter(self._file, self._schema)

    def begin(self) -> bytes:
        return self._file.taken()

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        columns = []
        for field in self._schema:
            cells = [row[field.name] for row in rows]
            if COLUMNS[field.name] is dict:
                cells = [None if cell is None else dump(cell) for cell in cells]
            is_time = pa.types.is_timestamp(field.type)
            column = pa.array(cells, pa.string() if is_time else field.type)
            columns.append(column.cast(field.type) if is_time else column)
        if rows:
            self._writer.write_table(pa.table(columns, self._schema))
        return self._file.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._file.taken()


class _Written(io.RawIOBase):
    """A file whose bytes are taken away as they are written."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()
        self._length = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._length

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._bytes += data
        self._length += size
        return size

    def taken(self) -> bytes:
        found, self._bytes = bytes(self._bytes), bytearray()
        return found
