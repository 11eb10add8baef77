"""`otel-ml drift`: a data set against a reference profile."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from otel_ml.cli._terminal import say, show
from otel_ml.quality import DataFileError, DriftScan, FeatureDrift, ProfileError, ReferenceProfile, read_batches

_EPILOG = """\
example:
  otel-ml drift --profile profile.json --data june.parquet --score predicted_probability

A feature has drifted when its PSI is above the threshold and above `noise`, which PSI exceeds in one of 1,000 windows
of this size by chance alone, and the data has at least 300 values of it.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "drift",
        help="compare a data set with a reference profile",
        description="Counts a data set into the bins of a profile, batch by batch in constant memory, and prints the "
        "distance of each feature by the formulas of the recording rules.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", type=Path, required=True, metavar="FILE", help="made by `otel-ml profile`")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="data to compare, .parquet or .csv")
    parser.add_argument("--score", metavar="COLUMN", help="column with the model's output on this data")
    parser.add_argument("--threshold", type=float, default=0.2, metavar="PSI", help="(default: %(default)s)")
    parser.add_argument("--fail", action="store_true", help="exit with 1 when a feature has drifted")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the features, the most drifted first; 0, or 1 with `--fail` and drift, or 2 on bad input."""
    try:
        profile = ReferenceProfile.load(args.profile)
        scan = _scan(profile, args.data, args.score)
    except (DataFileError, ProfileError) as error:
        say("drift", error)
        return 2
    features = scan.features(args.threshold)
    drifted = [feature.name for feature in features if feature.drifted]
    if args.json:
        figures = {
            "profile": profile.id,
            "rows": scan.rows,
            "drifted": drifted,
            "features": list(map(asdict, features)),
        }
        print(json.dumps(figures))
    else:
        _print(profile, scan.rows, features)
    return 1 if drifted and args.fail else 0


def _scan(profile: ReferenceProfile, data: Path, score: str | None) -> DriftScan:
    scan = DriftScan(profile)
    wanted = [feature.name for feature in profile.features]
    told = time.monotonic()
    for batch in read_batches(data, wanted if score is None else [*wanted, score]):
        if score is not None and score not in batch.columns:
            raise DataFileError(f"{data} has no column {score!r}")
        scan.add(batch.columns, batch.rows, output=None if score is None else batch.columns[score])
        if time.monotonic() - told > 1:
            told = time.monotonic()
            total = "" if batch.total is None else f" of {batch.total:,}"
            print(f"{scan.rows:,}{total} rows", file=sys.stderr, flush=True)
    if not scan.rows:
        raise DataFileError(f"{data} has no rows")
    return scan


def _print(profile: ReferenceProfile, rows: int, features: list[FeatureDrift]) -> None:
    print(f"{rows:,} rows against profile {profile.id} of {profile.rows:,} rows")
    print(f"  {'feature':<24} {'PSI':>8} {'noise':>8} {'JS':>6} {'values':>10} {'missing':>10}")
    for feature in features:
        figures = (feature.psi, feature.psi_null999, feature.jensen_shannon)
        psi, noise, distance = ("-" if figure is None else f"{figure:.4f}" for figure in figures)
        mark = "  drifted" if feature.drifted else ""
        show(
            f"  {feature.name:<24} {psi:>8} {noise:>8} {distance:>6} {feature.count:>10,} {feature.missing:>10,}{mark}"
        )
