"""`otel-ml drift`: compares a data set with a reference profile, or with another data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from otel_ml.cli._arguments import add_json, number
from otel_ml.cli._data_arguments import (
    add_csv,
    add_data,
    add_fit,
    add_outcomes,
    add_performance,
    fit,
    read_files,
    show_progress,
)
from otel_ml.cli._terminal import CommandError, progress, show
from otel_ml.quality import (
    PSI_LIMIT,
    Comparison,
    DataFileError,
    DataFiles,
    ProfileError,
    ReferenceProfile,
    scan_files,
)

_EPILOG: Final = """\
examples:
  otel-ml drift --profile profile.json --data june.parquet --score predicted_probability
  otel-ml drift --profile profile.json --data june/ --by day --time created_at --report june.html
  otel-ml drift --reference train.csv --data new.csv --fail

`verdict` is the most severe finding. `drifted`: the PSI is above both the threshold and `noise`, with at least 300
values. Without drift, PSI exceeds `noise` in one of 1,000 windows of this size. `missing`, `invalid`, `unseen`,
`out_of_range`: the share of such values differs from that of training by more than 0.01 and by more than chance.
`absent`: no such column. Of the label (`__label__`) only rows that have one count.
The cells of a CSV file are read as the profile says: as numbers or as categories.
"""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Counts a data set into the bins of a profile, batch by batch in constant memory, and prints a verdict for "
        "each feature, by the formulas of the recording rules, and what changed."
    )
    parser.epilog = _EPILOG
    reference = parser.add_mutually_exclusive_group(required=True)
    reference.add_argument("--profile", type=Path, metavar="FILE", help="made by `otel-ml profile`")
    reference.add_argument(
        "--reference", nargs="+", action="extend", metavar="PATH", help="data to compare with, instead of a profile"
    )
    add_data(parser, "--data", "data to compare")
    add_outcomes(parser)
    parser.add_argument("--by", choices=("hour", "day", "week"), help="also judge each hour, day or week by itself")
    parser.add_argument(
        "--time", metavar="COLUMN", help="column with the moment of each row (default: the one with datetimes)"
    )
    parser.add_argument("--threshold", type=number(0), default=PSI_LIMIT, metavar="PSI", help="(default: %(default)s)")
    parser.add_argument("--fail", action="store_true", help="exit with 1 if anything was found")
    parser.add_argument(
        "--allow", nargs="+", default=[], metavar="COLUMN", help="features whose findings are no reason to fail"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write the comparison as an HTML page")
    add_csv(parser)
    add_json(parser, "all figures")
    with_reference = parser.add_argument_group("with --reference")
    add_performance(with_reference)
    add_fit(with_reference)


def run(arguments: argparse.Namespace) -> int:
    """Prints the features, the most severe first; 0, or 1 if something was found and ``--fail`` is set."""
    try:
        comparison = _compare(arguments)
    except (DataFileError, ProfileError, ImportError) as error:
        raise CommandError(error) from error
    unknown = [name for name in arguments.allow if name not in {feature.name for feature in comparison.features}]
    if unknown:
        raise CommandError(f"--allow: no feature {', '.join(map(repr, unknown))} in the profile")
    if arguments.report is not None:
        _save(comparison, arguments.report)
    if arguments.json:
        print(json.dumps(comparison.to_dict()))
    else:
        for text in str(comparison).splitlines():
            show(text)
    return 1 if arguments.fail and set(comparison.findings).difference(arguments.allow) else 0


def _compare(arguments: argparse.Namespace) -> Comparison:
    if arguments.profile is not None:
        profile = ReferenceProfile.load(arguments.profile)
    else:
        profile = fit(arguments, arguments.reference)
    files = read_files(arguments, arguments.data)
    scan = scan_files(
        profile,
        files,
        score=arguments.score,
        label=_label(arguments, files),
        by=arguments.by,
        time=arguments.time,
        progress=show_progress(files.rows),
    )
    return scan.compare(arguments.threshold)


def _label(arguments: argparse.Namespace, files: DataFiles) -> str | None:
    """Returns the label if the data has it: with ``--reference`` it may be in the training data only."""
    is_in_data = arguments.label in (*files.names, *files.index)
    return arguments.label if is_in_data or arguments.reference is None else None


def _save(comparison: Comparison, path: Path) -> None:
    try:
        comparison.save(path)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
    progress(f"report: {path}")
