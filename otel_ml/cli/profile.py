"""`otel-ml profile`: makes a reference profile from training data, or from what a model has served."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from otel_ml import semconv
from otel_ml.cli._arguments import add_input, add_json
from otel_ml.cli._console.client import add_token
from otel_ml.cli._console.served_data import ServedData, read_console, read_store
from otel_ml.cli._data_arguments import (
    FORMATS,
    add_csv,
    add_fit,
    add_outcomes,
    add_performance,
    fit,
    fit_columns,
    read_files,
)
from otel_ml.cli._terminal import CommandError, first_column, progress, show
from otel_ml.cli._window_arguments import add_window
from otel_ml.ground_truth import StoreError
from otel_ml.quality import DataFileError, ProfileError, ReferenceProfile, describe_skipped, describe_unscored

_EPILOG: Final = """\
examples:
  otel-ml profile --data train.parquet --label employed --score predicted_probability --output profile.json
  otel-ml profile --from-console --model fraud --since 2026-05-01 --until 2026-06-01 --name may --output may.json
  otel-ml profile --from-store sqlite:///predictions.db --model fraud --since 7d --name week --output week.json
  otel-ml profile --from-console --model fraud --since 30d --name may --beside profile.json --output profile.json

A CSV file holds text. A column of it is one of numbers if 95 of 100 cells are and none is a code such as `01`.
At most 32 columns are monitored, the first ones; `--exclude` makes room for others.

A console has the features of the events that it keeps: those of sampled traces, and of all low scores. Sample all
traces in the window, or low scores count too much. It has no sensitive columns: name them again with `--sensitive`.
A store has outputs and labels, and no features.
"""
_CONSOLE: Final = "http://127.0.0.1:4318"


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Bins the columns of the training data, or of predictions in a window of time. The profile holds counts in "
        "bins, never a row; a model with `profile=` counts its inputs into the same bins."
    )
    parser.epilog = _EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data", nargs="+", action="extend", metavar="PATH", help=f"training data: {FORMATS}; several are one"
    )
    source.add_argument(
        "--from-console",
        nargs="?",
        const=_CONSOLE,
        metavar="URL",
        help=f"features, outputs and labels of the predictions that a console keeps (default: {_CONSOLE})",
    )
    source.add_argument(
        "--from-store", metavar="URL", help="outputs and labels of the predictions in a store: sqlite:///FILE, ..."
    )
    add_input(parser, "--output", "profile to write, JSON")
    parser.add_argument(
        "--name",
        metavar="NAME",
        help=f"what the data is; exported as {semconv.REFERENCE} (default: {semconv.TRAINING})",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="FILE",
        help="a profile: count the data into its bins, and write it with the data as a window called --name",
    )
    add_outcomes(parser)
    add_performance(parser)
    add_fit(parser)
    add_csv(parser)
    _add_served(parser)
    add_json(parser, "the summary")


def _add_served(parser: argparse.ArgumentParser) -> None:
    served = parser.add_argument_group("with --from-console and --from-store")
    served.add_argument("--model", metavar="NAME", help="name of the model")
    served.add_argument("--version", metavar="VERSION", help="its version (default: all versions)")
    served.add_argument("--role", default="primary", help="its role (default: %(default)s)")
    add_window(served, since="7d")
    add_token(served)


def run(arguments: argparse.Namespace) -> int:
    """Writes the profile."""
    try:
        profile = _profile(arguments) if arguments.beside is None else _with_window(arguments)
        profile.save(arguments.output)
    except (DataFileError, ProfileError, StoreError, ImportError, ValueError) as error:
        raise CommandError(error) from error
    except OSError as error:
        raise CommandError(f"cannot write {arguments.output}: {error.strerror}") from error
    if arguments.json:
        print(json.dumps(_summary(profile, arguments.output)))
        return 0
    named = "" if profile.name == semconv.TRAINING else f" {profile.name!r}"
    show(f"{arguments.output}: profile{named} {profile.id} of {profile.rows:,} rows")
    for name in _windows(profile):
        show(f"  beside it the window {name!r}")
    features = profile.all_features()
    width = first_column([feature.name for feature in features])
    for feature in features:
        labels = ", ".join(feature.labels[:3])
        show(f"  {feature.name:<{width}} {feature.kind:<9} {len(feature.labels):>2} bins: {labels}, ...")
    for line in describe_skipped(profile.skipped):
        show(f"  not monitored: {line}")
    if profile.performance is not None:
        show(f"  {profile.performance}")
    kind = None if profile.output is None else profile.output.kind
    unscored = describe_unscored(profile.performance, kind)
    if unscored is not None:
        show(f"  {unscored}")
    return 0


def _profile(arguments: argparse.Namespace) -> ReferenceProfile:
    """Returns the profile of the data."""
    if arguments.data:
        return fit(arguments, arguments.data)
    data = _read_served(arguments)
    columns, outcomes = data.columns()
    kept = {name: values for name, values in columns.items() if name not in arguments.exclude}
    return fit_columns(arguments, kept, outcomes)


def _with_window(arguments: argparse.Namespace) -> ReferenceProfile:
    """Returns the given profile with the data as a saved window."""
    profile = ReferenceProfile.load(arguments.beside)
    if not arguments.name:
        raise CommandError("--beside needs --name, what to call the window, such as may")
    if arguments.data:
        files = read_files(arguments, arguments.data)
        return profile.with_window(arguments.name, files, score=arguments.score, label=arguments.label)
    columns, output, label = _read_served(arguments).columns_for(profile)
    return profile.with_window(arguments.name, columns, score=output, label=label)


def _read_served(arguments: argparse.Namespace) -> ServedData:
    """Returns the predictions in a window."""
    if not arguments.model or not arguments.name:
        raise CommandError("predictions need --model, whose they are, and --name, what to call the window, such as may")
    for flag in ("score", "label", "prediction", "positive", "task"):
        if getattr(arguments, flag) is not None:
            raise CommandError(f"--{flag} is for --data: a prediction says what its output is")
    data: ServedData = read_store(arguments) if arguments.from_store else read_console(arguments)
    if not data.rows:
        raise CommandError(f"no prediction of {arguments.model!r} in this window")
    progress(f"{data.rows:,} predictions, {data.labelled:,} with a label")
    return data


def _windows(profile: ReferenceProfile) -> list[str]:
    return list(dict.fromkeys(name for feature in profile.all_features() for name, _ in feature.windows))


def _summary(profile: ReferenceProfile, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "id": profile.id,
        "name": profile.name,
        "rows": profile.rows,
        "windows": _windows(profile),
        "features": {feature.name: len(feature.labels) for feature in profile.all_features()},
        "skipped": dict(profile.skipped),
        "performance": None if profile.performance is None else asdict(profile.performance),
    }
