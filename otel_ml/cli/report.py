"""`otel-ml report`: writes drift and performance of a data set, or of a window of a console, as one HTML page."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from otel_ml._values import few_names
from otel_ml.cli._arguments import add_json
from otel_ml.cli._console.client import ConsoleClient, add_token
from otel_ml.cli._data_arguments import (
    add_csv,
    add_data,
    add_outcomes,
    add_performance,
    read_files,
    show_progress,
)
from otel_ml.cli._terminal import CommandError, progress, show
from otel_ml.cli._window_arguments import add_window, read_window
from otel_ml.quality import (
    Comparison,
    DataFileError,
    DataFiles,
    Performance,
    ProfileError,
    ReferenceProfile,
    read_training,
    scan_files,
)

_EPILOG: Final = """\
examples:
  otel-ml report --profile profile.json --data june.parquet --output june.html
  otel-ml report --profile profile.json --data june/ --by day --time created_at --score probability --label defaulted
  otel-ml report --from-console http://127.0.0.1:4318 --model fraud_detector --since 7d --output week.html

The page needs no other file, no script and no network. It has the verdict on each feature and what changed, and with
--label the performance beside that of training, if the profile was fitted with a label too.
"""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Writes drift and performance of a data set, or of a model in a console, as one HTML page, "
        "to send, print or keep: what was found, the "
        "figures beside those of training, and the bins of each feature that changed."
    )
    parser.epilog = _EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--profile", type=Path, metavar="FILE", help="made by `otel-ml profile`; with --data")
    source.add_argument("--from-console", metavar="URL", help="console that has the telemetry of the model")
    add_data(parser, "--data", "data to report on", required=False)
    parser.add_argument(
        "--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page (default: %(default)s)"
    )
    parser.add_argument("--title", metavar="TEXT", help="title of the page (default: the name of the data)")
    add_outcomes(parser)
    add_performance(parser)
    parser.add_argument("--by", choices=("hour", "day", "week"), help="also judge each hour, day or week by itself")
    parser.add_argument(
        "--time", metavar="COLUMN", help="column with the moment of each row (default: the one with datetimes)"
    )
    add_csv(parser)
    served = parser.add_argument_group("with --from-console")
    served.add_argument("--model", metavar="NAME", help="name of the model")
    add_window(served, since="24h")
    add_token(served)
    add_json(parser, "all figures of --data")


def run(arguments: argparse.Namespace) -> int:
    """Writes the page; 0."""
    if arguments.from_console is not None:
        content = _fetch(arguments)
        _save(arguments.output, lambda path: path.write_bytes(content))
        show(f"report: {arguments.output}")
        return 0
    if not arguments.data:
        raise CommandError("--profile needs --data")
    try:
        found, files = _compare(arguments)
    except (DataFileError, ProfileError, ImportError) as error:
        raise CommandError(error) from error
    what = "Drift" if found.performance is None else "Drift and performance"
    title = arguments.title or f"{what} of {files}"
    _save(arguments.output, lambda path: found.save(path, title=title))
    if arguments.json:
        print(json.dumps(found.to_dict()))
    else:
        show(f"report: {arguments.output}")
    return 0


def _save(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error


def _fetch(arguments: argparse.Namespace) -> bytes:
    """Returns the file that a console offers."""
    console = ConsoleClient(arguments.from_console, "--from-console", arguments.token_file)
    if arguments.model is None:
        raise CommandError("--from-console needs --model")
    try:
        since, until = read_window(arguments)
    except ValueError as error:
        raise CommandError(error) from error
    begin, end = f"{since:.6f}", f"{until:.6f}"
    known = _models(console, begin, end)
    if arguments.model not in known:
        models = few_names([*map(repr, known)]) or "none"
        raise CommandError(
            f"no record of the model {arguments.model!r} in this time (--since, --until); models: {models}"
        )
    window = [("model", arguments.model), ("from", begin), ("to", end), ("save", "1")]
    headers, content = console.get("/report", window)
    if not headers.get("content-disposition", "").startswith("attachment"):
        raise console.stranger()
    return content


def _models(console: ConsoleClient, begin: str, end: str) -> list[str]:
    """Returns the models of which a console has records."""
    rows = console.json("/api/overview", [("since", begin), ("until", end)]).get("models")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("model"), str) for row in rows
    ):
        raise console.stranger()
    return [row["model"] for row in rows]


def _compare(arguments: argparse.Namespace) -> tuple[Comparison, DataFiles]:
    if arguments.positive is not None and arguments.score is None:
        raise ProfileError("--positive says what --score is the probability of: give --score too")
    profile = ReferenceProfile.load(arguments.profile)
    files = read_files(arguments, arguments.data)
    found = scan_files(
        profile,
        files,
        score=arguments.score,
        label=arguments.label,
        by=arguments.by,
        time=arguments.time,
        progress=show_progress(files.rows),
    ).compare()
    return replace(found, performance=_measure(arguments, files, profile), trained=profile.performance), files


def _measure(arguments: argparse.Namespace, files: DataFiles, profile: ReferenceProfile) -> Performance | None:
    """Returns the performance on the data; None without label or output."""
    if arguments.label is None or (arguments.score is None and arguments.prediction is None):
        progress("no performance: it needs --label, and --score or --prediction")
        return None
    names = [name for name in (arguments.score, arguments.label, arguments.prediction) if name is not None]
    score = arguments.score if arguments.positive is None else {arguments.positive: arguments.score}
    task = arguments.task or (None if profile.performance is None else profile.performance.task)
    columns = read_training(files, names).columns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about columns that are not monitored
        try:
            return ReferenceProfile.fit(
                columns, score, arguments.label, prediction=arguments.prediction, task=task
            ).performance
        except ProfileError as error:  # the drift is worth a report
            progress(f"no performance: {error}")
            return None
