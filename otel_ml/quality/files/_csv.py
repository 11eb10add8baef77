"""CSV files: every cell is read as text; what it means is decided later, by the profile or by the whole column."""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_ml._values import line
from otel_ml.quality.files._compression import open_stream, uncompressed_name
from otel_ml.quality.files._errors import DataFileError, load_pyarrow
from otel_ml.quality.files._text_cells import NULLS, TextCells

_BLOCK_BYTES: Final = 8 << 20
_HEADER_BYTES: Final = 1 << 20
_DETECTED: Final = ";\t|"
"""Separators that are looked for in a header without a comma."""
_SHOWN: Final = {"\t": "tab"}


@dataclass(frozen=True)
class CsvFormat:
    """Separator, encoding and missing values of CSV files."""

    separator: str | None = None
    """None: a comma, or the semicolon, tab or bar of a header without a comma."""
    encoding: str = "utf-8"
    nulls: Collection[str] = NULLS
    """Cells that mean a missing value, unless the profile has a category of that name. An empty cell always does."""


class CsvFile:
    """One CSV file, compressed or not."""

    rows = None
    """A CSV file does not say how many rows it has."""
    index = ()

    def __init__(self, path: Path, form: CsvFormat) -> None:
        self.path = path
        self._nulls = form.nulls
        self._encoding = _find_encoding(path, form.encoding)
        header = self._read_header()
        if "\n" not in header and "\r" not in header:
            raise DataFileError(f"{path} has no rows")
        self._separator = form.separator or _find_separator(path, header)
        try:
            row = next(csv.reader(io.StringIO(header, newline=""), delimiter=self._separator), [])
        except csv.Error as error:
            raise DataFileError(f"cannot read the header of {path}: {error}") from None
        self._width = len(row)
        self.names = _check_header(path, row, self._separator)
        """The named columns, in order. A column without a name, such as the index that pandas writes, is left out."""
        self._places = {name: place for place, name in enumerate(row) if name}

    def batches(self, columns: Collection[str]) -> Iterator[tuple[dict[str, Any], int]]:
        """Yields the text cells of these columns, with the number of rows."""
        pyarrow = load_pyarrow()
        names = [str(place) for place in range(self._width)]
        last = ""
        try:
            with self._open(names, dict.fromkeys(names, pyarrow.string())) as reader:
                for batch in reader:
                    last = batch.column(self._width - 1)[-1].as_py() if batch.num_rows else last
                    found = {name: batch.column(self._places[name]) for name in self.names if name in columns}
                    yield {name: self._cells(array) for name, array in found.items()}, batch.num_rows
        except (pyarrow.ArrowInvalid, UnicodeError) as error:
            self._raise_for_bad_line()
            raise DataFileError(f"cannot read {self.path}: {line(str(error).partition(':')[0])}") from None
        if "\n" in last:  # a quote that is not closed takes all lines after it for one value
            self._raise_for_open_quote()

    def _cells(self, array: Any) -> TextCells:
        return TextCells(array, self._nulls, "," if self._separator == ";" else ".")

    def _open(self, names: list[str], types: dict[str, Any]) -> Any:
        from pyarrow import csv as arrow_csv

        # the streaming reader names its columns after their place: the names in the header were read already
        return arrow_csv.open_csv(
            open_stream(self.path),
            read_options=arrow_csv.ReadOptions(
                block_size=_BLOCK_BYTES, column_names=names, skip_rows_after_names=1, encoding=self._encoding
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=self._separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )

    def _read_header(self) -> str:
        with open_stream(self.path) as stream:
            start = stream.read(_HEADER_BYTES)
        decoder = codecs.getincrementaldecoder(self._encoding)()
        try:
            text: str = decoder.decode(start)
        except UnicodeError:
            with self._lines() as lines:
                deque(lines, 0)  # raises
            raise
        return text.removeprefix("\ufeff")

    def _raise_for_bad_line(self) -> None:
        """Raises an error that names the line that cannot be read; does nothing if there is none."""
        with self._lines() as lines, suppress(csv.Error):
            rows = csv.reader(lines, delimiter=self._separator)
            began = 1
            for row in rows:
                if row and len(row) != self._width:
                    raise DataFileError(
                        f"{self.path}, line {began}: {len(row)} values, the header has {self._width} columns"
                    )
                began = rows.line_num + 1
        self._raise_for_open_quote()

    def _raise_for_open_quote(self) -> None:
        """Raises an error that names the line with a quote that is not closed; does nothing if there is none."""
        with self._lines() as lines:
            rows = csv.reader(lines, delimiter=self._separator, strict=True)
            began = 1
            try:
                for _ in rows:
                    began = rows.line_num + 1
            except csv.Error as error:
                if rows.line_num > began or "end of data" in str(error):
                    raise DataFileError(f"{self.path}, line {began}: a quote is not closed") from None

    @contextmanager
    def _lines(self) -> Iterator[Iterator[str]]:
        with open_stream(self.path) as stream:
            yield _decoded(self.path, io.BufferedReader(stream), self._encoding)


def _decoded(path: Path, stream: Any, encoding: str) -> Iterator[str]:
    """Yields the lines of a file; an error of the encoding names the line."""
    if encoding.startswith("utf-16"):
        yield from io.TextIOWrapper(stream, encoding, newline="")
        return
    for position, raw in enumerate(stream, 1):
        try:
            text = raw.decode(encoding)
        except UnicodeError as error:
            byte = f" (byte 0x{raw[error.start]:02x})" if isinstance(error, UnicodeDecodeError) else ""
            advice = "--encoding latin-1" if encoding == "utf-8" else "another --encoding"
            raise DataFileError(
                f"{path}, line {position}: not {encoding.upper()} text{byte}: give {advice} or what it is written in"
            ) from None
        yield text.removeprefix("\ufeff") if position == 1 else text


def _find_encoding(path: Path, encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise DataFileError(f"there is no encoding {encoding!r}; utf-8, latin-1 and cp1252 are usual") from None
    with open_stream(path) as stream:
        start = stream.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and name == "utf-8" else name


def _find_separator(path: Path, header: str) -> str:
    if uncompressed_name(path).endswith(".tsv"):
        return "\t"
    first = "".join(header.split('"')[::2]) if '"' in header else header  # quoted names aside
    first = first.partition("\n")[0].partition("\r")[0]
    if "," in first:
        return ","
    return max(_DETECTED, key=first.count) if any(char in first for char in _DETECTED) else ","


def _check_header(path: Path, row: list[str], separator: str) -> tuple[str, ...]:
    if not any(row):
        raise DataFileError(f"{path} has no rows")
    names = [name for name in row if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        places = [str(place + 1) for place, name in enumerate(row) if name == twice]
        raise DataFileError(f"{path}, line 1: the columns {' and '.join(places)} are both called {twice!r}: rename one")
    other = next((char for char in f",{_DETECTED}" if char in row[0]), None)
    if len(row) == 1 and other is not None and other != separator:
        shown = _SHOWN.get(other, f"'{other}'")
        raise DataFileError(f"{path} has one column, {row[0]!r}: give --separator {shown}")
    return tuple(names)
