"""`otel-ml label`: records labels that came later, from files, in a prediction store."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, get_args

import otel_ml
from otel_ml.cli._arguments import add_json
from otel_ml.cli._data_arguments import FORMATS, add_csv, csv_format, show_progress
from otel_ml.cli._store_arguments import add_store, open_store
from otel_ml.cli._terminal import CommandError, say, show
from otel_ml.config import ENV_OTLP, ENV_RESOURCE_ATTRIBUTES, ENV_SERVICE_NAME
from otel_ml.ground_truth import GroundTruth, State, StoreError
from otel_ml.quality import DataFileError, DataFiles
from otel_ml.quality.files import TextCells

_PROGRAM: Final = "otel-ml label"
_EPILOG: Final = """\
examples:
  otel-ml label --store sqlite:///predictions.db --model fraud_detector labels.csv
  otel-ml label --store postgresql+psycopg://ml@db/ml --id order --label fraud --at closed 'labels/*.parquet'

The states are those of `record_labels`. Exit code 1: some labels failed, for example because one is not a declared
class. A file can be given again: a label that is known already is a duplicate and counts nothing.
A label may be JSON text in a cell: ["a", "b"] of a multilabel model, {"item": 2} of a ranking.

With OTEL_EXPORTER_OTLP_ENDPOINT the counts ml.eval.* and the events ml.label are exported. Set OTEL_SERVICE_NAME to the
name of the service that predicts: rules and dashboards join both by it. Without an endpoint nothing is exported, and
live figures lack these labels for good; `otel-ml evaluate` has them.
"""
_IDS: Final = ("prediction_id", "id")
_CHUNK: Final = 10_000
"""Labels after which the store is checked."""
_ENDPOINTS: Final = tuple(f"{ENV_OTLP}{signal}ENDPOINT" for signal in ("", "METRICS_", "LOGS_"))
_EXPORTERS: Final = ("OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
_FLUSH_SECONDS: Final = 10.0


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = "Gives the predictions in a store their labels, batch by batch in constant memory."
    parser.epilog = _EPILOG
    add_store(parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help=f"labels: {FORMATS}")
    parser.add_argument("--id", metavar="COLUMN", help="column with the ids (default: prediction_id, or id)")
    parser.add_argument("--label", default="label", metavar="COLUMN", help="column with the labels (default: label)")
    parser.add_argument(
        "--at",
        metavar="COLUMN",
        help="column with the moment when each label became known: ISO 8601 or seconds since the epoch (default: at, "
        "if there is one; otherwise now)",
    )
    parser.add_argument(
        "--model", metavar="NAME", help="model of all labels (default: the column model, if there is one)"
    )
    add_csv(parser)
    add_json(parser, "the summary")


def run(arguments: argparse.Namespace) -> int:
    """Records the labels and prints how many came to each state; 1 if some failed."""
    try:
        files = _open_files(arguments)
        with _exporting(), open_store(arguments.store) as truth:
            states = _record(truth, files, arguments.model)
            reasons = truth.account().failed if states["failed"] else {}
    except (DataFileError, StoreError, ImportError, otel_ml.ConfigError) as error:
        raise CommandError(error) from error
    found = {"labels": states.total(), **{state: states[state] for state in get_args(State)}}
    if arguments.json:
        print(json.dumps({**found, "reasons": reasons}))
    else:
        _print(found, reasons)
    if states["waiting"]:
        say(_PROGRAM, "`otel-ml evaluate --waiting` lists the labels that wait for a prediction, and why")
    if states["matched"] and not any(map(_value, (*_ENDPOINTS, *_EXPORTERS, "OTEL_SDK_DISABLED"))):
        say(_PROGRAM, f"nothing is exported, so live figures lack these labels: set {_ENDPOINTS[0]}")
    return 1 if states["failed"] else 0


def _open_files(arguments: argparse.Namespace) -> list[tuple[DataFiles, list[str | None]]]:
    """Returns each file, and its columns with id, label, moment and model."""
    form = csv_format(arguments)
    paths = DataFiles(arguments.files, form).paths
    files = [DataFiles([path], form, as_objects=True) for path in paths]
    return [(file, _find_columns(file, arguments)) for file in files]


def _find_columns(file: DataFiles, arguments: argparse.Namespace) -> list[str | None]:
    names = (*file.names, *file.index)
    given = (arguments.id, arguments.label, arguments.at)
    absent = [name for name in given if name is not None and name not in names]
    found = arguments.id or next((name for name in _IDS if name in names), None)
    if found is None:
        absent.insert(0, _IDS[0])
    if absent:
        raise DataFileError(f"{file} has no column {', '.join(map(repr, absent))}; there are {', '.join(names)}")
    at = arguments.at or ("at" if "at" in names else None)
    return [found, arguments.label, at, "model" if arguments.model is None and "model" in names else None]


def _record(truth: GroundTruth, files: Sequence[tuple[DataFiles, list[str | None]]], model: str | None) -> Counter[str]:
    """Records all labels; an error says how many of them are recorded."""
    counts = [file.rows for file, _ in files]
    report = show_progress(None if None in counts else sum(count or 0 for count in counts))
    states: Counter[str] = Counter()
    try:
        for file, columns in files:
            rows = _rows(file, columns)
            while chunk := list(islice(rows, _CHUNK)):
                states.update(_record_chunk(truth, chunk, model))
                report(states.total())
    except (DataFileError, StoreError) as error:
        done = states.total() - states["failed"]
        raise CommandError(f"{error}; {done:,} labels are recorded, and can be given again") from error
    return states


def _record_chunk(truth: GroundTruth, chunk: list[tuple[Any, ...]], model: str | None) -> dict[State, int]:
    found = truth.record_labels(chunk, model=model)
    if found.get("failed") == len(chunk) and "store" in truth.account().failed:
        raise StoreError("the store cannot be used")
    return found


def _rows(file: DataFiles, columns: Sequence[str | None]) -> Iterator[tuple[Any, ...]]:
    """Yields id, label, moment and model of each row; the cells of a CSV file stay text."""
    for batch in file.batches([name for name in columns if name is not None]):
        found = [None if name is None else batch.columns.get(name) for name in columns]
        cells = [_texts(column, is_label=place == 1) for place, column in enumerate(found)]
        for start in range(0, batch.rows, _CHUNK):
            part = slice(start, min(start + _CHUNK, batch.rows))
            yield from zip(*(_values(column, part) for column in cells), strict=True)


def _texts(column: Any, *, is_label: bool) -> Any:
    if isinstance(column, TextCells):
        return column.texts_with_points() if is_label else column.texts()
    return column


def _values(column: Any, part: slice) -> list[Any]:
    if column is None:
        return [None] * (part.stop - part.start)
    found: list[Any] = column[part] if isinstance(column, list) else column[part].to_pylist()
    return found


@contextmanager
def _exporting() -> Iterator[None]:
    """Exports what is recorded in the block if the environment says where to, and flushes it at the end."""
    if not _is_exported():
        yield
        return
    has_name = os.environ.get(ENV_SERVICE_NAME) or "service.name=" in os.environ.get(ENV_RESOURCE_ATTRIBUTES, "")
    telemetry = otel_ml.configure(**({} if has_name else {"service_name": "otel-ml-label"}))
    try:
        yield
    finally:
        if not telemetry.shutdown(_FLUSH_SECONDS):
            say(_PROGRAM, "not everything was exported: live figures lack some of these labels")


def _is_exported() -> bool:
    """Whether the environment names an endpoint or an exporter: the default address is not tried."""
    return any(map(_value, _ENDPOINTS)) or any(_value(name) not in {"", "none"} for name in _EXPORTERS)


def _value(variable: str) -> str:
    return os.environ.get(variable, "").strip().lower()


def _print(found: dict[str, int], reasons: dict[str, int]) -> None:
    for name, count in found.items():
        why = f"  ({', '.join(f'{times:,} {reason}' for reason, times in reasons.items())})" if name == "failed" else ""
        show(f"{name:<10}{count:>12,}{why if count else ''}")
