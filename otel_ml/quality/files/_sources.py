"""The data files that a user names: a file, a folder, or a pattern such as ``june/*.parquet``."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from otel_ml.quality.files._csv import CsvFile, CsvFormat
from otel_ml.quality.files._errors import DataFileError, load_pyarrow, reading
from otel_ml.quality.files._formats import DataFile, is_data_file, open_file


class RowBatch(NamedTuple):
    """Some rows of a file."""

    columns: dict[str, Any]
    """Values by column: arrays, lists, or the cells of a text file."""
    rows: int


class DataFiles:
    """One data set in one file or several, which are read one after the other.

    Args:
        paths: Files, folders and patterns.
        form: How CSV files are written.
        as_objects: Whether typed columns are lists of Python objects: whole numbers beside missing values keep all
            digits, and moments their zone. By default they are arrays where that is faster.

    Raises:
        DataFileError: A file is missing or of another kind, damaged, or pyarrow is not installed.
    """

    def __init__(self, paths: Sequence[Path | str], form: CsvFormat | None = None, *, as_objects: bool = False) -> None:
        load_pyarrow()
        self._as_objects = as_objects
        self._form = CsvFormat() if form is None else form
        self.paths = tuple(dict.fromkeys(found for path in paths for found in _find_files(Path(path))))
        files = [self._open(path) for path in self.paths]
        self.names = tuple(dict.fromkeys(name for file in files for name in file.names))
        """All columns, in the order of the files."""
        self.index = tuple(dict.fromkeys(name for file in files for name in file.index))
        """The index of a frame as pandas stored it; it is read only if it is asked for by name."""
        self.has_text = any(isinstance(file, CsvFile) for file in files)
        """Whether there are text files, whose cells have no type."""
        counts = [file.rows for file in files]
        self.rows = None if None in counts else sum(count or 0 for count in counts)
        """Rows of all files; None if a format does not say."""

    def __str__(self) -> str:
        return str(self.paths[0]) if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} others"

    def batches(self, columns: Collection[str]) -> Iterator[RowBatch]:
        """Yields the rows of all files, with those of these columns that a file has."""
        for path in self.paths:
            file = self._open(path)
            with reading(path):
                for values, rows in file.batches(columns):
                    yield RowBatch(values, rows)

    def _open(self, path: Path) -> DataFile:
        with reading(path):
            file = open_file(path, self._form, as_objects=self._as_objects)
        if file is None:
            raise DataFileError(
                f"{path}: give a .parquet, .csv, .tsv, .jsonl or .feather file, or a folder or pattern of them"
            )
        return file


def _find_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if is_data_file(file) and file.is_file()]
        found = [file for file in found if not _is_hidden(file.relative_to(path))]
        if not found:
            raise DataFileError(f"no data file in {path}")
        return found
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - any pattern
    found = [file for match in matches if match.is_file() or match.is_dir() for file in _find_files(match)]
    if not found:
        raise DataFileError(f"no file {path}")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)
