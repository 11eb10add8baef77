"""`otel-ml compare`: compares two versions of a model by the predictions and labels in the prediction store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, Final

from otel_ml import semconv
from otel_ml.cli._arguments import add_json, number
from otel_ml.cli._store_arguments import add_store, open_store
from otel_ml.cli._terminal import CommandError, say, show
from otel_ml.cli._window_arguments import add_window, read_window
from otel_ml.cli.tables.figures import interval_text, print_table
from otel_ml.ground_truth import StoreError

_PROGRAM: Final = "otel-ml compare"
_EPILOG: Final = """\
example:
  otel-ml compare --store sqlite:///predictions.db --model fraud_detector
  otel-ml compare --store sqlite:///predictions.db --model fraud_detector --baseline 1.4.0 --challenger 2.0.0/canary
  otel-ml compare --store sqlite:///predictions.db --model fraud_detector --since 24h --difference 0.01 --json
exit codes:
  0  the challenger is better, or no difference was seen
  1  it is worse, or there is not enough data
"""
_BETTER, _, _NO_DIFFERENCE, _NOT_ENOUGH = semconv.PAIR_VERDICTS
_SIDES: Final = ("baseline", "challenger")


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Compares two versions or roles of a model: by predictions under the same ids, or else by their labels. The "
        "verdict may be read at any time: of comparisons of equal versions, fewer than 1 of 100 are ever called better "
        "or worse."
    )
    parser.epilog = _EPILOG
    add_store(parser, read_only=True)
    parser.add_argument("--model", required=True, metavar="NAME", help="name of the model")
    parser.add_argument(
        "--baseline",
        metavar="VERSION/ROLE",
        help="a version, a role, or both (default: the primary; of several the earliest version)",
    )
    parser.add_argument(
        "--challenger", metavar="VERSION/ROLE", help="in the same form (default: the only other version or role)"
    )
    add_window(parser, since="7d")
    parser.add_argument(
        "--difference",
        type=number(0.0001, 1),
        metavar="SHARE",
        help="what to look for: a difference in accuracy (default: 0.02), or for a regression a share of the "
        "baseline's mean absolute error (default: 0.1)",
    )
    add_json(parser, "the comparison")


def run(arguments: argparse.Namespace) -> int:
    """Prints the comparison; 0 if the challenger is better or as good, else 1."""
    try:
        window = read_window(arguments)
        with open_store(arguments.store, read_only=True) as truth:
            found = truth.compare_versions(
                *window,
                model=arguments.model,
                baseline=arguments.baseline,
                challenger=arguments.challenger,
                difference=arguments.difference,
            )
    except (StoreError, ImportError, ValueError) as error:
        raise CommandError(error) from error
    if arguments.json:
        print(json.dumps(found))
    else:
        _print(found)
    for note in found["notes"]:
        say(_PROGRAM, note)
    return int(found["verdict"] not in {_BETTER, _NO_DIFFERENCE})


def _print(found: Mapping[str, Any]) -> None:
    show(f"verdict     {_verdict(found)}")
    rows = [
        [
            name,
            f"{side['version']} {side['role']}",
            side["predicted"],
            side["labelled"],
            side["value"],
            interval_text(side["interval"]),
        ]
        for name, side in ((name, found[name]) for name in _SIDES)
    ]
    print_table(["", "version", "predictions", "labelled", found["figure"], "95 % interval"], rows)
    about = ("difference", "interval", "p_value", "test", "pairs", "labelled_pairs", "agreement")
    scores = ("prediction_difference", "score_psi", "score_psi_noise", "score_ks", "score_ks_noise")
    values = {**{name: found.get(name) for name in (*about, *scores)}, "interval": interval_text(found["interval"])}
    print_table(["comparison", "value"], [[name, value] for name, value in values.items() if value is not None])
    outcomes = found.get("outcomes")
    if outcomes and found["labelled_pairs"]:
        print_table(["right", "pairs"], [[name.replace("_", " "), count] for name, count in outcomes.items()])
    confusion = found.get("confusion")
    if confusion:
        names = sorted({name for row in confusion.values() for name in row})
        head = ["baseline \\ challenger", *names]
        print_table(head, [[one, *(row.get(name, 0) for name in names)] for one, row in confusion.items()])


def _verdict(found: Mapping[str, Any]) -> str:
    verdict = str(found["verdict"])
    stated = f"{found['looked_for']:g}" if found["figure"] != "mae" else f"{found['looked_for']:.3g} of the MAE"
    if verdict == _NOT_ENOUGH and found["still_needed"] is not None:
        unit = "labels of the challenger" if found["test"] == "two proportions" else "labelled pairs"
        return f"{verdict}: about {found['still_needed']} more {unit} are needed to find a difference of {stated}"
    if verdict == _NO_DIFFERENCE:
        return f"{verdict}: one of {stated} would have been found in {found['power'] * 100:.0f} % of cases"
    return verdict
