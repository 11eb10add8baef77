"""`otel-ml evaluate`: computes the exact figures of a model from the prediction store."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from otel_ml.cli._arguments import add_json
from otel_ml.cli._store_arguments import add_store, open_store
from otel_ml.cli._terminal import CommandError, say, show
from otel_ml.cli._window_arguments import add_window, read_window
from otel_ml.cli.tables.decay import add_decay, print_decay
from otel_ml.cli.tables.estimates import print_estimates
from otel_ml.cli.tables.figures import print_figures
from otel_ml.cli.tables.segments import print_segments, segment_notes
from otel_ml.ground_truth import GroundTruth, SegmentFigures, StoreError
from otel_ml.quality import ProfileError, ReferenceProfile

_PROGRAM: Final = "otel-ml evaluate"
_EPILOG: Final = """\
example:
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --since 24h
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --since 2026-06-01 --by predicted_at --json
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --by region
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --role shadow --version 2.0.0
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --profile profile.json
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --estimate
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --waiting
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --since 30d --decay --limit 0.8
"""
_LISTED: Final = 1000
"""Waiting labels that are listed."""
_NO_CLASS: Final = "a predicted class (declare classes=... of the model)"
_LACKS: Final = {"mae": "a number on both sides", "ndcg": "a ranking"}
"""What labelled predictions without figures lack, by a figure of their task."""
_ESTIMATED: Final = "an estimate: it holds as long as a score means what it did in training"
_TIMES: Final = ("labeled_at", "predicted_at")


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = "Computes the exact figures of the labelled predictions of a model in a window of time."
    parser.epilog = _EPILOG
    add_store(parser, read_only=True)
    parser.add_argument("--model", required=True, metavar="NAME", help="name of the model")
    parser.add_argument("--version", metavar="VERSION", help="its version (default: all versions)")
    parser.add_argument(
        "--role",
        choices=("primary", "canary", "shadow", "all"),
        default="primary",
        help="its role; `all` mixes the figures of several (default: %(default)s)",
    )
    add_window(parser, since="24h")
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="NAME",
        help="labeled_at or predicted_at: which time must be in the window (default: labeled_at); any other name: the "
        "segment column whose segments have figures of their own; give it twice for both",
    )
    parser.add_argument(
        "--waiting", action="store_true", help="list labels that wait for a prediction of the model, and why, instead"
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="estimate the figures of all predictions made in the window from their scores, before labels come",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="reference profile that was fitted with --label: its training figures stand beside",
    )
    add_decay(parser)
    add_json(parser, "the figures")


def run(arguments: argparse.Namespace) -> int:
    """Prints the figures; 0, or 1 if the labelled predictions in the window give none."""
    try:
        window = read_window(arguments)
        by, column = _time_and_column(arguments.by)
        _check_tables(arguments)
        with open_store(arguments.store, read_only=True) as truth:
            if arguments.waiting:
                return _list_waiting(truth, arguments)
            if arguments.decay:
                return print_decay(truth, window, arguments)
            if arguments.estimate:
                return _estimate(truth, window, arguments)
            figures = truth.compute_metrics(
                *window,
                model=arguments.model,
                version=arguments.version,
                role=None if arguments.role == "all" else arguments.role,
                by=by,
                by_segment=column,
            )
        training = None if arguments.profile is None else _training(arguments.profile)
    except (StoreError, ProfileError, ImportError, ValueError) as error:
        raise CommandError(error) from error
    if isinstance(figures, SegmentFigures):
        return _show_segments(column or "", figures, training, arguments)
    return _show_figures(figures, training, arguments)


def _check_tables(arguments: argparse.Namespace) -> None:
    """Refuses two tables at once, and segments of a table that has none."""
    tables = [name for name in ("waiting", "decay", "estimate") if getattr(arguments, name)]
    if len(tables) > 1:
        raise ValueError(f"--{tables[0]} and --{tables[1]} print different tables: give one of them")
    if arguments.by and (arguments.decay or arguments.estimate):
        raise ValueError(f"--{tables[0]} is not by time or segment: leave --by out")


def _show_figures(figures: dict[str, Any], training: dict[str, float] | None, arguments: argparse.Namespace) -> int:
    """Prints the figures of all predictions, and the notes about them."""
    if arguments.json:
        print(json.dumps(figures if training is None else {**figures, "training": training}))
    if figures["labelled"] and not figures["count"]:
        what = next((text for name, text in _LACKS.items() if name in figures), _NO_CLASS)
        labelled = f"{figures['labelled']} labelled predictions of {arguments.model!r}"
        say(_PROGRAM, f"{labelled} in this window, none with {what}")
    if training is not None and _has_any(figures) and figures.keys().isdisjoint(training):
        say(_PROGRAM, f"{arguments.profile} has the training figures of another task: {', '.join(training)}")
    if _has_any(figures) and not arguments.json:
        print_figures(figures, training)
    for note in figures.get("notes", ()):
        say(_PROGRAM, note)
    return 0 if _has_any(figures) else 1


def _estimate(truth: GroundTruth, window: tuple[float, float], arguments: argparse.Namespace) -> int:
    """Prints estimated figures; 1 if nothing can be estimated."""
    role = None if arguments.role == "all" else arguments.role
    figures = truth.estimate_metrics(*window, model=arguments.model, version=arguments.version, role=role)
    training = None if arguments.profile is None else _training(arguments.profile)
    if arguments.json:
        print(json.dumps(figures if training is None else {**figures, "training": training}))
    elif figures["estimated"]:
        print_estimates(figures, training)
        say(_PROGRAM, _ESTIMATED)
    for note in figures.get("notes", ()):
        say(_PROGRAM, note)
    return 0 if figures["estimated"] else 1


def _show_segments(
    column: str, figures: SegmentFigures, training: dict[str, float] | None, arguments: argparse.Namespace
) -> int:
    """Prints the figures of each segment, the worst one, and the notes about them."""
    has_any = any(map(_has_any, figures.values()))
    if arguments.json:
        about = {"segments": figures, "worst": figures.worst, "fairness": figures.fairness, "notes": figures.notes}
        print(json.dumps(about if training is None else {**about, "training": training}))
    elif has_any:
        print_segments(column, figures, training)
    for note in segment_notes(figures):
        say(_PROGRAM, note)
    return 0 if has_any else 1


def _has_any(figures: Mapping[str, Any]) -> bool:
    return bool(figures["count"] or figures.get("auc") is not None)


def _time_and_column(names: Sequence[str]) -> tuple[str, str | None]:
    """Returns which time must be in the window, and the segment column if one is named."""
    times = [name for name in names if name in _TIMES] or [_TIMES[0]]
    columns = [name for name in names if name not in _TIMES]
    if len(times) > 1 or len(columns) > 1:
        raise ValueError(f"--by takes one time and one segment column at most, not {', '.join(names)}")
    return times[0], columns[0] if columns else None


def _training(path: Path) -> dict[str, float]:
    """Returns the figures of the data that a profile was fitted on."""
    performance = ReferenceProfile.load(path).performance
    if performance is None:
        raise ProfileError(f"{path} has no training figures: fit it with --label, and --prediction or --score")
    return dict(performance.figures)


def _list_waiting(truth: GroundTruth, arguments: argparse.Namespace) -> int:
    """Prints labels that wait, the oldest first."""
    found = truth.waiting(model=arguments.model, limit=_LISTED)
    if arguments.json:
        print(json.dumps([one._asdict() for one in found]))
        return 0
    if found:
        print(f"{'id':<36} {'label':<12} {'since':<16} {'reason':<12} model")
    for one in found:
        since = dt.datetime.fromtimestamp(one.labeled_at).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - local time
        show(f"{one.id:<36} {one.label:<12} {since:<16} {one.reason:<12} {one.model or '-'}")
    if not found or len(found) == _LISTED:
        say(_PROGRAM, f"the oldest {_LISTED} labels that wait" if found else "no label waits for a prediction")
    return 0
