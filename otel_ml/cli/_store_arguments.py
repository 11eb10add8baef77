"""The prediction store that a command reads or writes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_ml.ground_truth import GroundTruth, StoreError


def add_store(parser: argparse.ArgumentParser, *, read_only: bool = False) -> None:
    """Adds ``--store``."""
    places = ["sqlite:///FILE", "postgresql+psycopg://..."] + ["clickhouse://..."] * read_only
    parser.add_argument("--store", required=True, metavar="URL", help=f"{', '.join(places[:-1])} or {places[-1]}")


@contextmanager
def open_store(url: str, *, read_only: bool = False) -> Iterator[GroundTruth]:
    """Opens a store that exists, and closes it.

    Raises:
        StoreError: There is no such file, it is not a prediction store, or the store cannot be opened.
    """
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).is_file():
        raise StoreError(f"no file {file}")
    if not read_only:
        # raises if another tool made the database: a writer would add its tables
        GroundTruth(url, read_only=True).close()
    truth = GroundTruth(url, read_only=read_only)
    try:
        yield truth
    finally:
        truth.close()
