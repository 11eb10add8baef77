"""Predictions as a file: CSV, JSON or Parquet, written page by page while it is read."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import importlib.util
import io
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.responses import StreamingResponse

from otel_ml.console.receiving._values import dump
from otel_ml.console.storage.lists import _prediction_export
from otel_ml.console.storage.lists._prediction_export import COLUMNS
from otel_ml.console.storage.lists._prediction_filter import PredictionFilter
from otel_ml.console.web import _parameters
from otel_ml.console.web._operations import PREDICTION_FILTER, Operation
from otel_ml.console.web._query_parameters import BadParameterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_ml.console.storage.lists._conditions import Place
    from otel_ml.console.web._query_runner import QueryRunner

_FORMULA: Final = ("=", "+", "-", "@", "\t")
"""How a text begins that a spreadsheet would run; services write ids, classes and labels as they like."""
_EVENTS: Final = 2_000
"""Events that are read together."""


class ExportFile(Protocol):
    """Writes rows as the parts of a file."""

    def begin(self) -> bytes: ...
    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes: ...
    def end(self) -> bytes: ...


class _Csv:
    def begin(self) -> bytes:
        # else a spreadsheet reads the letters of other languages as two each
        return codecs.BOM_UTF8 + self._lines([list(COLUMNS)])

    def rows(self, rows: Sequence[dict[str, Any]]) -> bytes:
        return self._lines([list(map(_cell, row.values())) for row in rows])

    def end(self) -> bytes:
        return b""

    def _lines(self, lines: list[list[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue().encode("utf-8")


class _Json:
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


_MEDIA: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
EXPORT: Final = Operation(
    "/api/export/predictions",
    "Predictions as a file",
    f"one row for each prediction and each row of a batch: {', '.join(COLUMNS)}. Parquet needs `pyarrow`",
    (_parameters.choice("format", "kind of the file", _MEDIA, default="csv"), *PREDICTION_FILTER),
    _prediction_export.rows,
    tuple(_MEDIA.values()),
)


def export(reader: QueryRunner, request: Request) -> Response:
    """The answer, which is written while the predictions are read."""
    given = _parameters.read(request.query_params, EXPORT.parameters)
    name = given.pop("format")
    if name == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise BadParameterError("format: parquet needs pyarrow; pip install 'otel-ml[quality]'")
    wanted = PredictionFilter(limit=_EVENTS, **given)
    headers = {"content-disposition": f'attachment; filename="predictions.{name}"'}
    return StreamingResponse(_written(reader, _file(name), wanted), headers=headers, media_type=_MEDIA[name])


def _file(name: str) -> ExportFile:
    if name == "parquet":
        from otel_ml.console.web._parquet import ParquetFile

        return ParquetFile()
    return _Json() if name == "json" else _Csv()


async def _written(reader: QueryRunner, file: ExportFile, wanted: PredictionFilter) -> AsyncIterator[bytes]:
    yield file.begin()
    while True:
        written, following = await reader.read(_page, file, wanted)
        yield written
        if following is None:
            break
        wanted = dataclasses.replace(wanted, after=following)
    yield file.end()


def _page(cursor: Any, file: ExportFile, wanted: PredictionFilter) -> tuple[bytes, Place | None]:
    rows, following = _prediction_export.rows(cursor, wanted)
    return file.rows(rows), following


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA) and _parameters.finite_number(value) is None:
        return f"'{value}"
    return dump(value) if isinstance(value, (dict, list)) else value
