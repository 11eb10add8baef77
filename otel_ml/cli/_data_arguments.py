"""Arguments of the commands that read data files, and the profile that they fit on training data."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from otel_ml import semconv
from otel_ml.cli._arguments import whole
from otel_ml.cli._terminal import progress
from otel_ml.quality import BINS, TASKS, CsvFormat, DataFiles, ProfileError, ReferenceProfile, read_training

FORMATS: Final = ".parquet, .csv, .tsv, .jsonl or .feather (.gz too), or a folder or 'pattern' of them"
_PROGRESS_SECONDS: Final = 1.0
_SEPARATORS: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
_FIT: Final = (
    ("--exclude", "columns that are not features"),
    ("--categorical", "columns of numbers that are categories"),
    ("--numeric", "columns that are numbers although they have few values, look like an identifier or hold text"),
    ("--keep", "columns to monitor although they look like an identifier or free text"),
    ("--periodic", "columns that follow the clock, such as the hour: they never drift"),
    ("--sensitive", "columns whose values never leave the process"),
    ("--text", "columns of texts, described by length, characters and words"),
    ("--embeddings", "columns of vectors, described by norm, projections and the distance to their mean"),
    ("--images", "columns of images as nested lists of numbers, described by size, brightness and contrast"),
)


@dataclass
class OutcomeColumns:
    """Outputs and labels, as `ReferenceProfile.fit` takes them."""

    score: Any = None
    label: str | None = None
    prediction: str | None = None
    task: str | None = None


def add_data(parser: argparse.ArgumentParser, flag: str, what: str, *, required: bool = True) -> None:
    """Adds the paths of data files."""
    parser.add_argument(
        flag, nargs="+", action="extend", required=required, metavar="PATH", help=f"{what}: {FORMATS}; several are one"
    )


def add_csv(parser: argparse.ArgumentParser) -> None:
    """Adds ``--null``, ``--separator`` and ``--encoding``."""
    parser.add_argument(
        "--null",
        action="append",
        metavar="TEXT",
        help="cell of a CSV file that means a missing value (repeatable), instead of NA, NaN, null, None and the like; "
        "an empty cell always does",
    )
    parser.add_argument(
        "--separator",
        type=_separator,
        metavar="CHAR",
        help="of CSV files (default: found in the header); between semicolons `1,5` is a number",
    )
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="of CSV files (default: utf-8)")


def add_outcomes(parser: argparse.ArgumentParser) -> None:
    """Adds ``--score`` and ``--label``."""
    parser.add_argument("--score", metavar="COLUMN", help="column with the model's output on this data")
    parser.add_argument("--label", metavar="COLUMN", help="column with the true value; no feature, but compared as one")


def add_performance(parser: argparse._ActionsContainer) -> None:
    """Adds what the performance on training data takes beside score and label."""
    parser.add_argument(
        "--prediction",
        metavar="COLUMN",
        help="column with the predicted class or number; without it a score above 0.5 is the positive class",
    )
    parser.add_argument(
        "--positive",
        metavar="CLASS",
        help="the class that the score is the probability of (default: of 0 and 1, no and yes and the like the second)",
    )
    parser.add_argument("--task", choices=TASKS, help="(default: by the labels)")


def add_fit(parser: argparse._ActionsContainer) -> None:
    """Adds the options of `ReferenceProfile.fit` about features."""
    for flag, what in _FIT:
        parser.add_argument(flag, nargs="+", default=[], metavar="COLUMN", help=what)
    parser.add_argument(
        "--bins", type=whole(2), default=BINS, metavar="N", help="bins of a number (default: %(default)s)"
    )


def read_files(arguments: argparse.Namespace, paths: list[str]) -> DataFiles:
    """Opens the files that the arguments name."""
    return DataFiles(paths, csv_format(arguments))


def csv_format(arguments: argparse.Namespace) -> CsvFormat:
    """Returns what `add_csv` has read."""
    nulls = {} if arguments.null is None else {"nulls": tuple(arguments.null)}
    return CsvFormat(arguments.separator, arguments.encoding, **nulls)


def show_progress(total: int | None) -> Callable[[int], None]:
    """Returns a function that takes the number of rows so far and shows it from time to time.

    Args:
        total: All rows; None if a format does not say.
    """
    shown_at = time.monotonic()
    of = "" if total is None else f" of {total:,}"

    def report(rows: int) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at > _PROGRESS_SECONDS:
            shown_at = time.monotonic()
            progress(f"{rows:,}{of} rows ...")

    return report


def fit(arguments: argparse.Namespace, paths: list[str]) -> ReferenceProfile:
    """Returns the profile of training data."""
    exclude, sensitive = arguments.exclude, arguments.sensitive
    if arguments.positive is not None and arguments.score is None:
        raise ProfileError("--positive says what --score is the probability of: give --score too")
    files = read_files(arguments, paths)
    absent = [name for name in (*exclude, *sensitive) if name not in files.names]
    if absent:
        raise ProfileError(f"no column {', '.join(map(repr, absent))}; there are {', '.join(files.names)}")
    progress(f"reading {files} ...")
    data = read_training(files, [name for name in files.names if name not in exclude])
    score = arguments.score if arguments.positive is None else {arguments.positive: arguments.score}
    outcomes = OutcomeColumns(score, arguments.label, arguments.prediction, arguments.task)
    profile = fit_columns(arguments, data.columns, outcomes)
    for feature in profile.all_features():
        if feature.invalid:
            progress(f"{feature.name}: {feature.invalid:,} values have no bin; they count as invalid")
    return profile


def fit_columns(
    arguments: argparse.Namespace, columns: Mapping[str, Any], outcomes: OutcomeColumns
) -> ReferenceProfile:
    """Returns the profile of columns, with the options of `add_fit`."""
    progress(f"binning {len(columns)} columns ...")
    with warnings.catch_warnings():
        # the summary names what was skipped
        warnings.simplefilter("ignore", UserWarning)
        profile = ReferenceProfile.fit(
            columns,
            outcomes.score,
            outcomes.label,
            prediction=outcomes.prediction,
            task=outcomes.task,
            categorical=arguments.categorical,
            numeric=arguments.numeric,
            keep=arguments.keep,
            periodic=arguments.periodic,
            bins=arguments.bins,
            sensitive=[name for name in arguments.sensitive if name in columns],
            text=arguments.text,
            embeddings=arguments.embeddings,
            images=arguments.images,
            name=getattr(arguments, "name", None) or semconv.TRAINING,
        )
    # a column that is not in the data, or excluded, can be sensitive too
    return replace(profile, sensitive=profile.sensitive.union(arguments.sensitive))


def _separator(text: str) -> str:
    found = _SEPARATORS.get(text, text)
    if len(found) != 1 or found in '\r\n"':
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, or `tab`")
    return found
