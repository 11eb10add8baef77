"""The error of a data file; errors of pyarrow become one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_ml import _extras


class DataFileError(ValueError):
    """A data file that cannot be read; the message says why."""


def load_pyarrow() -> Any:
    """Imports pyarrow.

    Raises:
        DataFileError: It is not installed.
    """
    try:
        return _extras.load("pyarrow", "quality")
    except ImportError as error:
        raise DataFileError(str(error)) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns errors of pyarrow and of the file system in the block into a `DataFileError` that names the file."""
    pyarrow = load_pyarrow()
    try:
        yield
    except (pyarrow.ArrowException, OSError, EOFError) as error:
        raise DataFileError(f"cannot read {path}: {(str(error) or type(error).__name__).splitlines()[0]}") from None
