"""`otel-ml profile`: makes a reference profile from training data."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from otel_ml.cli._arguments import add_input, add_json
from otel_ml.cli._data_arguments import add_csv, add_data, add_fit, add_outcomes, add_performance, fit
from otel_ml.cli._terminal import CommandError, first_column, show
from otel_ml.quality import DataFileError, ProfileError, ReferenceProfile, describe_skipped

_EPILOG: Final = """\
example:
  otel-ml profile --data train.parquet --label employed --score predicted_probability --output profile.json

A CSV file holds text. A column of it is one of numbers if 95 of 100 cells are and none is a code such as `01`.
At most 32 columns are monitored, the first ones; `--exclude` makes room for others.
"""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Bins the columns of the training data. The profile holds counts in bins, never a row; a model with "
        "`profile=` counts its inputs into the same bins."
    )
    parser.epilog = _EPILOG
    add_data(parser, "--data", "training data")
    add_input(parser, "--output", "profile to write, JSON")
    add_outcomes(parser)
    add_performance(parser)
    add_fit(parser)
    add_csv(parser)
    add_json(parser, "the summary")


def run(arguments: argparse.Namespace) -> int:
    """Writes the profile."""
    try:
        profile = fit(arguments, arguments.data)
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
    width = first_column([feature.name for feature in features])
    for feature in features:
        labels = ", ".join(feature.labels[:3])
        show(f"  {feature.name:<{width}} {feature.kind:<9} {len(feature.labels):>2} bins: {labels}, ...")
    for line in describe_skipped(profile.skipped):
        show(f"  not monitored: {line}")
    if profile.performance is not None:
        show(f"  {profile.performance}")
    return 0


def _summary(profile: ReferenceProfile, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "id": profile.id,
        "rows": profile.rows,
        "features": {feature.name: len(feature.labels) for feature in profile.all_features()},
        "skipped": dict(profile.skipped),
        "performance": None if profile.performance is None else asdict(profile.performance),
    }
