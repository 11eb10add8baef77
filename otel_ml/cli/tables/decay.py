"""A figure day by day with its trend, as `otel-ml evaluate --decay` prints it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import time
from collections.abc import Mapping
from typing import Any, Final

from otel_ml.cli._terminal import say, show
from otel_ml.cli._window_arguments import read_moment
from otel_ml.cli.tables.figures import interval_text, print_table, text
from otel_ml.ground_truth import GroundTruth

_PROGRAM: Final = "otel-ml evaluate"


def add_decay(parser: argparse.ArgumentParser) -> None:
    """Adds ``--decay`` and what belongs to it."""
    parser.add_argument(
        "--decay", action="store_true", help="print a figure day by day and its trend, by the time of the predictions"
    )
    parser.add_argument(
        "--figure", metavar="NAME", help="with --decay: the figure (default: accuracy, exact_match, mae or ndcg)"
    )
    parser.add_argument("--trained", metavar="WHEN", help="with --decay: when the model was trained")
    parser.add_argument("--limit", type=float, metavar="VALUE", help="with --decay: when is this value crossed?")


def print_decay(truth: GroundTruth, window: tuple[float, float], arguments: argparse.Namespace) -> int:
    """Prints the days and the trend; 0, or 1 if the figure becomes worse or there is no trend."""
    found = truth.compute_decay(
        *window,
        model=arguments.model,
        version=arguments.version,
        role=None if arguments.role == "all" else arguments.role,
        figure=arguments.figure,
        trained_at=None if arguments.trained is None else read_moment(arguments.trained, time.time()),
        limit=arguments.limit,
    )
    trend = found["trend"]
    if arguments.json:
        print(json.dumps(found))
    else:
        rows = [_row(day, arguments.trained) for day in found["days"] if day["labels"]]
        age = [] if arguments.trained is None else ["days since training"]
        print_table(["day until", *age, found["figure"] or "figure", "95 % interval", "predictions"], rows)
    for note in found["notes"]:
        say(_PROGRAM, note)
    if trend is None:
        say(_PROGRAM, "no trend: it needs ten days with 100 labelled predictions each; give --since 30d, for example")
        return 1
    if not arguments.json:
        print()
        show(_sentence(found["figure"], trend))
    return int(trend["is_worse"])


def _row(day: Mapping[str, Any], trained: str | None) -> list[Any]:
    end = dt.datetime.fromtimestamp(day["end"]).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 - local time
    age = [] if trained is None else [round(day["age"], 1)]
    return [end, *age, day["value"], interval_text(day["interval"]), day["labels"]]


def _sentence(figure: str, trend: Mapping[str, Any]) -> str:
    low, high = (f"{each:+.3g}" for each in trend["interval"])
    judged = "worse than chance explains" if trend["is_worse"] else "no decay that chance does not explain"
    sentence = f"trend of {figure} over {trend['days']} days: {trend['slope']:+.3g} a day ({low} to {high}): {judged}"
    left = trend["days_until_limit"]
    if trend["limit"] is None:
        return sentence
    crossed = "the trend does not lead to it" if left is None else f"reached in {math.ceil(left)} days"
    return f"{sentence}; limit {text(trend['limit'])}: {crossed}"
