"""`otel-ml drift`: compares a data set with a reference profile."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from otel_ml.cli._arguments import add_input, add_json, add_score, number
from otel_ml.cli._terminal import CommandError, first_column, progress, show
from otel_ml.quality import (
    PSI_LIMIT,
    DataFileError,
    DriftScan,
    FeatureDrift,
    ProfileError,
    ReferenceProfile,
    read_batches,
)

_EPILOG: Final = """\
example:
  otel-ml drift --profile profile.json --data june.parquet --score predicted_probability

The last column is the verdict. `drifted`: the PSI is above both the threshold and `noise`, with at least 300 values.
Without drift, PSI exceeds `noise` in one of 1,000 windows of this size. `missing`, `invalid`, `unseen`, `out_of_range`:
the share of such values is above that of training by more than 0.01 and by more than chance. `absent`: no such column.
"""
_PROGRESS_SECONDS: Final = 1.0


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Counts a data set into the bins of a profile, batch by batch in constant memory, and prints the distance of "
        "each feature by the formulas of the recording rules."
    )
    parser.epilog = _EPILOG
    add_input(parser, "--profile", "made by `otel-ml profile`")
    add_input(parser, "--data", "data to compare, .parquet or .csv")
    add_score(parser)
    parser.add_argument("--threshold", type=number(0), default=PSI_LIMIT, metavar="PSI", help="(default: %(default)s)")
    parser.add_argument("--fail", action="store_true", help="exit with 1 unless every verdict is ok or too_few")
    add_json(parser, "the figures")


def run(arguments: argparse.Namespace) -> int:
    """Prints the features, the most severe first; 0, or 1 if something was found and ``--fail`` is set."""
    try:
        profile = ReferenceProfile.load(arguments.profile)
        scan = _scan(profile, arguments.data, arguments.score)
    except (DataFileError, ProfileError) as error:
        raise CommandError(error) from error
    features = scan.features(arguments.threshold)
    drifted = [feature.name for feature in features if feature.drifted]
    wrong = [feature.name for feature in features if feature.findings]
    if arguments.json:
        figures = {
            "profile": profile.id,
            "rows": scan.rows,
            "drifted": drifted,
            "features": list(map(asdict, features)),
        }
        print(json.dumps(figures))
    else:
        _print(profile, scan.rows, features)
    return 1 if wrong and arguments.fail else 0


def _scan(profile: ReferenceProfile, data: Path, score: str | None) -> DriftScan:
    scan = DriftScan(profile)
    wanted = [feature.name for feature in profile.features]
    shown_at = time.monotonic()
    for batch in read_batches(data, wanted if score is None else [*wanted, score]):
        if score is not None and score not in batch.columns:
            raise DataFileError(f"{data} has no column {score!r}")
        scan.add(batch.columns, batch.rows, output=None if score is None else batch.columns[score])
        if time.monotonic() - shown_at > _PROGRESS_SECONDS:
            shown_at = time.monotonic()
            total = "" if batch.total is None else f" of {batch.total:,}"
            progress(f"{scan.rows:,}{total} rows ...")
    if not scan.rows:
        raise DataFileError(f"{data} has no rows")
    return scan


def _print(profile: ReferenceProfile, rows: int, features: list[FeatureDrift]) -> None:
    print(f"{rows:,} rows against profile {profile.id} of {profile.rows:,} rows")
    width = first_column(feature.name for feature in features)
    verdicts = {feature.name: ", ".join(feature.findings) or feature.verdict for feature in features}
    last = max(map(len, ["verdict", *verdicts.values()]))
    print(
        f"  {'feature':<{width}} {'PSI':>8} {'noise':>8} {'JS':>6} {'values':>10} {'missing':>10}  {'verdict':<{last}}"
    )
    for feature in features:
        figures = (feature.psi, feature.psi_noise, feature.jensen_shannon)
        psi, noise, distance = ("-" if figure is None else f"{figure:.4f}" for figure in figures)
        mark = f"  {verdicts[feature.name]:<{last}}"
        counts = f"{feature.count:>10,} {feature.missing:>10,}"
        show(f"  {feature.name:<{width}} {psi:>8} {noise:>8} {distance:>6} {counts}{mark}")
