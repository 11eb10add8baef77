"""`otel-ml profile`: training data into a reference profile."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from otel_ml.cli._terminal import clean, say, show
from otel_ml.quality import DataFileError, ProfileError, ReferenceProfile, read_columns

_EPILOG = """\
example:
  otel-ml profile --data train.parquet --label employed --score predicted_probability --output profile.json
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "profile",
        help="make the reference profile of a model's training data",
        description="Bins the columns of the training data. The profile holds counts in bins, never a row; a model "
        "with `profile=` counts its inputs into the same bins.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="training data, .parquet or .csv")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="profile to write, JSON")
    parser.add_argument("--label", metavar="COLUMN", help="column with the true value; not monitored")
    parser.add_argument("--score", metavar="COLUMN", help="column with the model's output on this data")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="COLUMN", help="columns that are no features")
    parser.add_argument(
        "--categorical", nargs="+", default=[], metavar="COLUMN", help="columns of numbers that are categories"
    )
    parser.add_argument(
        "--sensitive", nargs="+", default=[], metavar="COLUMN", help="columns whose values never leave the process"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the profile; 0 when that worked."""
    try:
        profile = _fit(args)
        profile.save(args.output)
    except (DataFileError, ProfileError, ImportError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot write {args.output}: {error.strerror}")
    if args.json:
        print(json.dumps(_summary(profile, args.output)))
        return 0
    show(f"{args.output}: profile {profile.id} of {profile.rows:,} rows")
    for feature in profile.all_features():
        labels = ", ".join(feature.labels[:3])
        show(f"  {feature.name:<24} {feature.kind:<9} {len(feature.labels):>2} bins: {labels}, ...")
    for name, reason in profile.skipped.items():
        show(f"  {name:<24} not monitored: {reason}")
    return 0


def _fit(args: argparse.Namespace) -> ReferenceProfile:
    _note(f"reading {args.data}")
    columns = read_columns(args.data)
    absent = [name for name in (*args.exclude, *args.sensitive) if name not in columns]
    if absent:
        raise ProfileError(f"no column {', '.join(map(repr, absent))}; there are {', '.join(columns)}")
    _note(f"binning {len(columns) - len(args.exclude)} columns")
    with warnings.catch_warnings():
        # the summary names what was skipped
        warnings.simplefilter("ignore", UserWarning)
        profile = ReferenceProfile.fit(
            {name: values for name, values in columns.items() if name not in args.exclude},
            args.score,
            args.label,
            categorical=args.categorical,
            sensitive=[name for name in args.sensitive if name not in args.exclude],
        )
    # a column that is no feature is no less secret
    return replace(profile, sensitive=profile.sensitive.union(args.sensitive))


def _summary(profile: ReferenceProfile, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "id": profile.id,
        "rows": profile.rows,
        "features": {feature.name: len(feature.labels) for feature in profile.all_features()},
        "skipped": dict(profile.skipped),
    }


def _note(text: str) -> None:
    print(clean(f"{text} ..."), file=sys.stderr, flush=True)


def _fail(text: str) -> int:
    say("profile", text)
    return 2
