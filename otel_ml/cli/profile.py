"""`otel-ml profile`: makes a reference profile from training data."""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from otel_ml.cli._arguments import add_input, add_json, add_score
from otel_ml.cli._terminal import CommandError, first_column, progress, show
from otel_ml.quality import DataFileError, ProfileError, ReferenceProfile, read_columns

_EPILOG: Final = """\
example:
  otel-ml profile --data train.parquet --label employed --score predicted_probability --output profile.json
"""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Bins the columns of the training data. The profile holds counts in bins, never a row; a model with "
        "`profile=` counts its inputs into the same bins."
    )
    parser.epilog = _EPILOG
    add_input(parser, "--data", "training data, .parquet or .csv")
    add_input(parser, "--output", "profile to write, JSON")
    add_score(parser)
    parser.add_argument("--label", metavar="COLUMN", help="column with the true value; not monitored")
    for flag, what in (
        ("--exclude", "columns that are not features"),
        ("--categorical", "columns of numbers that are categories"),
        ("--sensitive", "columns whose values never leave the process"),
    ):
        parser.add_argument(flag, nargs="+", default=[], metavar="COLUMN", help=what)
    add_json(parser, "the summary")


def run(arguments: argparse.Namespace) -> int:
    """Writes the profile."""
    try:
        profile = _fit(arguments)
        profile.save(arguments.output)
    except (DataFileError, ProfileError, ImportError) as error:
        raise CommandError(error) from error
    except OSError as error:
        raise CommandError(f"cannot write {arguments.output}: {error.strerror}") from error
    if arguments.json:
        print(json.dumps(_summary(profile, arguments.output)))
        return 0
    show(f"{arguments.output}: profile {profile.id} of {profile.rows:,} rows")
    features = profile.all_features()
    width = first_column([*(feature.name for feature in features), *profile.skipped])
    for feature in features:
        labels = ", ".join(feature.labels[:3])
        show(f"  {feature.name:<{width}} {feature.kind:<9} {len(feature.labels):>2} bins: {labels}, ...")
    for name, reason in profile.skipped.items():
        show(f"  {name:<{width}} not monitored: {reason}")
    return 0


def _fit(arguments: argparse.Namespace) -> ReferenceProfile:
    exclude, sensitive = arguments.exclude, arguments.sensitive
    progress(f"reading {arguments.data} ...")
    columns = read_columns(arguments.data)
    absent = [name for name in (*exclude, *sensitive) if name not in columns]
    if absent:
        raise ProfileError(f"no column {', '.join(map(repr, absent))}; there are {', '.join(columns)}")
    progress(f"binning {len(columns) - len(exclude)} columns ...")
    with warnings.catch_warnings():
        # the summary names what was skipped
        warnings.simplefilter("ignore", UserWarning)
        profile = ReferenceProfile.fit(
            {name: values for name, values in columns.items() if name not in exclude},
            arguments.score,
            arguments.label,
            categorical=arguments.categorical,
            sensitive=[name for name in sensitive if name not in exclude],
        )
    # an excluded column can be sensitive too
    return replace(profile, sensitive=profile.sensitive.union(sensitive))


def _summary(profile: ReferenceProfile, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "id": profile.id,
        "rows": profile.rows,
        "features": {feature.name: len(feature.labels) for feature in profile.all_features()},
        "skipped": dict(profile.skipped),
    }
