"""`otel-ml evaluate`: exact figures of a model from the prediction store."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import time
from pathlib import Path
from typing import Any

from otel_ml.cli._terminal import say, show
from otel_ml.ground_truth import GroundTruth, StoreError

_EPILOG = """\
example:
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --since 24h
  otel-ml evaluate --store sqlite:///predictions.db --model fraud_detector --since 2026-06-01 --by predicted_at --json
"""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="accuracy, F1, AUC or errors of a model from its labelled predictions",
        description="Computes the exact figures of the labelled predictions of a model in a window of time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--store", required=True, metavar="URL", help="sqlite:///FILE or postgresql+psycopg://...")
    parser.add_argument("--model", required=True, metavar="NAME", help="name of the model")
    parser.add_argument("--version", metavar="VERSION", help="its version (default: all versions)")
    parser.add_argument(
        "--since",
        default="24h",
        metavar="WHEN",
        help="start: an age such as 24h or 7d, or a date (default: %(default)s)",
    )
    parser.add_argument("--until", default="0s", metavar="WHEN", help="end, likewise (default: now)")
    parser.add_argument(
        "--by",
        choices=("labeled_at", "predicted_at"),
        default="labeled_at",
        help="which moment lies in the window (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the figures; 0, or 1 when the labelled predictions in the window give none, or 2 on bad input."""
    try:
        figures = _figures(args)
    except (StoreError, ValueError) as error:
        say("evaluate", error)
        return 2
    if args.json:
        print(json.dumps(figures))
    if not figures["labelled"]:
        say("evaluate", f"no labelled prediction of {args.model!r} in this window")
        return 1
    if not figures["count"]:
        what = "a number on both sides" if "mae" in figures else "a predicted class (declare classes=... of the model)"
        say("evaluate", f"{figures['labelled']} labelled of {args.model!r} in this window, none with {what}")
        if figures.get("auc") is None:
            return 1
    if not args.json:
        _print(figures)
    return 0


def _figures(args: argparse.Namespace) -> dict[str, Any]:
    now = time.time()
    start, end = _moment(args.since, now), _moment(args.until, now)
    file = args.store.removeprefix("sqlite:///")
    if file != args.store and not Path(file).is_file():
        raise StoreError(f"no file {file}")
    truth = GroundTruth(args.store)
    try:
        return truth.compute_metrics(start, end, model=args.model, version=args.version, by=args.by)
    finally:
        truth.close()


def _moment(text: str, now: float) -> float:
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if age is not None:
        return now - float(age[1]) * _UNITS[age[2]]
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is neither an age such as 24h or 7d nor a date such as 2026-06-01") from None


def _print(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if name == "per_class":
            continue
        show(f"{name:<10} {'-' if value is None else f'{value:.4f}' if isinstance(value, float) else value}")
    for name, of_class in figures.get("per_class", {}).items():
        texts = ("-" if value is None else f"{value:.4f}" for value in list(of_class.values())[:3])
        show(f"class {name:<12} precision, recall, f1 {', '.join(texts)}; {of_class['count']} true")
