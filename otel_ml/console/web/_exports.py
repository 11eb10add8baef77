"""Predictions as a file: CSV, JSON or Parquet, written page by page while it is read."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.responses import StreamingResponse

from otel_ml.console.receiving._values import dump
from otel_ml.console.storage import _prediction_export
from otel_ml.console.storage._prediction_export import COLUMNS
from otel_ml.console.storage._prediction_list import PredictionFilter
from otel_ml.console.web import _parameters
from otel_ml.console.web._operations import PREDICTION_FILTER, Operation
from otel_ml.console.web._query_parameters import BadParameterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_ml.console.storage._conditions import Place
    from otel_ml.console.web._api import QueryRunner

_EVENTS: Final = 2_000
"""Events that are read together."""


class _Format(Protocol):
    """Writes rows as bytes."""

    media: str

    def begin(self) -> bytes: ...
    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes: ...
    def end(self) -> bytes: ...


class _Csv:
    media = "text/csv; charset=utf-8"

    def begin(self) -> bytes:
        return self._lines([list(COLUMNS)])

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        return self._lines([list(map(_cell, row.values())) for row in rows])

    def end(self) -> bytes:
        return b""

    def _lines(self, lines: list[list[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue().encode("utf-8")


class _Json:
    media = "application/json"

    def __init__(self) -> None:
        self._before = b""

    def begin(self) -> bytes:
        return b"["

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        text = b",\n".join(dump(row).encode("utf-8") for row in rows)
        before, self._before = (self._before, b",\n") if text else (b"", self._before)
        return before + text

    def end(self) -> bytes:
        return b"]\n"


class _Parquet:
    media = "application/vnd.apache.parquet"

    def __init__(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {str: pa.string(), float: pa.float64(), bool: pa.bool_(), dict: pa.string()}
        fields = {name: kinds[kind] for name, kind in COLUMNS.items()}
        self._schema = pa.schema(fields | {name: pa.timestamp("us", "UTC") for name in ("time", "label_time")})
        self._file = _Written()
        self._writer = pq.ParquetWriter(self._file, self._schema)

    def begin(self) -> bytes:
        return self._file.taken()

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        import pyarrow as pa

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


_FORMATS: Final[dict[str, type[_Csv | _Json | _Parquet]]] = {"csv": _Csv, "json": _Json, "parquet": _Parquet}
EXPORT: Final = Operation(
    "/api/export/predictions",
    "Predictions as a file",
    f"one row for each prediction and each row of a batch: {', '.join(COLUMNS)}. Parquet needs `pyarrow`",
    (_parameters.choice("format", "kind of the file", _FORMATS, default="csv"), *PREDICTION_FILTER),
    _prediction_export.rows,
    tuple(one.media for one in _FORMATS.values()),
)


def export(reader: QueryRunner, request: Request) -> Response:
    """The answer, which is written while the predictions are read."""
    given = _parameters.read(request.query_params, EXPORT.parameters)
    name = given.pop("format")
    if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise BadParameterError("format: parquet needs pyarrow; pip install 'otel-ml[quality]'")
    wanted = PredictionFilter(limit=_EVENTS, **given)
    headers = {"content-disposition": f'attachment; filename="predictions.{name}"'}
    return StreamingResponse(_written(reader, _FORMATS[name], wanted), headers=headers, media_type=_FORMATS[name].media)


async def _written(
    reader: QueryRunner, kind: type[_Csv | _Json | _Parquet], wanted: PredictionFilter
) -> AsyncIterator[bytes]:
    file: _Format = kind()
    yield file.begin()
    while True:
        written, following = await reader.read(_page, file, wanted)
        yield written
        if following is None:
            break
        wanted = dataclasses.replace(wanted, after=following)
    yield file.end()


def _page(cursor: Any, file: _Format, wanted: PredictionFilter) -> tuple[bytes, Place | None]:
    rows, following = _prediction_export.rows(cursor, wanted)
    return file.rows(rows), following


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return dump(value) if isinstance(value, (dict, list)) else value
