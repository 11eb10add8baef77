"""`otel-ml doctor`: shows the mode and the settings, what is installed, and whether the back end takes each signal."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

import otel_ml
from otel_ml._telemetry.check import SignalResult, check
from otel_ml.cli._arguments import add_json, number, whole
from otel_ml.cli._doctor.extras import extras
from otel_ml.cli._doctor.series import expected_series, series_lines
from otel_ml.cli._sampler_reading import missing_as_json
from otel_ml.cli._terminal import CommandError, show


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Configures telemetry from the environment as a service would, sends one span, one log record and one "
        "collection of metrics, marked as a check, and shows the result of each. Exit code 0: all exported signals "
        "were taken; 1: some were not, or no signal is exported, so nothing was checked."
    )
    parser.epilog = "example: OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 otel-ml doctor"
    parser.add_argument("--endpoint", help="try this endpoint instead of the environment's")
    parser.add_argument(
        "--timeout",
        type=number(0.001, 3600, "seconds"),
        default=5.0,
        help="seconds to wait for the back end (default: %(default)g)",
    )
    parser.add_argument(
        "--features", type=whole(0), default=16, help="features of a model, for the expected series (default: 16)"
    )
    parser.add_argument(
        "--segments",
        type=whole(1),
        nargs="*",
        default=[8, 8],
        metavar="VALUES",
        help="values of each segment column, for the expected series (default: 8 8)",
    )
    add_json(parser, "the findings")


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; 0 if some signal is exported and every such signal was taken."""
    try:
        findings = _findings(arguments)
    except otel_ml.ConfigError as error:
        raise CommandError(error) from error
    if arguments.json:
        print(json.dumps(findings))
    else:
        _print(findings)
    return 0 if findings["delivered"] else 1


def _findings(arguments: argparse.Namespace) -> dict[str, Any]:
    resources = _resources()
    config = otel_ml.Config(**({} if arguments.endpoint is None else {"endpoint": arguments.endpoint}))
    with redirect_stdout(sys.stderr):  # console exporters: standard output is for the report
        checked = check(config, arguments.timeout)
    return {
        "version": otel_ml.__version__,
        "mode": checked.mode,
        "notes": checked.notes,
        "not_understood": checked.misread,
        "delivered": checked.is_delivered,
        "verdict": checked.verdict,
        "signals": {signal: asdict(outcome) for signal, outcome in checked.outcomes.items()},
        "ledger": {signal: asdict(entry) for signal, entry in checked.ledger.items()},
        "resources": resources,
        "extras": extras(),
        "expected_series": expected_series(arguments.features, arguments.segments),
    }


def _resources() -> dict[str, Any]:
    """One reading of this machine: the number of figures by source, the duration, and why figures are missing."""
    from otel_ml.resource_sampler import select_sources

    sampler = otel_ml.ResourceSampler(sources=select_sources("node", elect=False))
    snapshot = sampler.sample()
    sampler.close()
    return {
        "duration": snapshot.duration,
        "readings": {part.source: len(part.readings) for part in snapshot.sources},
        "missing": missing_as_json(snapshot),
    }


def _print(findings: dict[str, Any]) -> None:
    show(f"otel-ml {findings['version']}")
    outcomes = {signal: SignalResult(**found) for signal, found in findings["signals"].items()}
    repeated = {f"{signal}: to {outcome.endpoint}" for signal, outcome in outcomes.items()}
    repeated |= {f"{signal}: not exported (exporter none)" for signal in outcomes}
    repeated |= {f"{signal}: scrape page at {outcome.detail}" for signal, outcome in outcomes.items()}
    for note in findings["notes"]:
        if note not in repeated:  # the line of the signal has it too
            show(f"  {note}")
    for line in findings["not_understood"]:
        show(f"  not understood: {line}")
    for signal, outcome in outcomes.items():
        show(f"  {signal}: {outcome}")
    if findings["verdict"]:
        show(f"  {findings['verdict']}")
    _print_surroundings(findings)


def _print_surroundings(findings: dict[str, Any]) -> None:
    resources = findings["resources"]
    read = ", ".join(f"{count} of the {source}" for source, count in resources["readings"].items() if count)
    show(f"  resources: {read or 'none'}, read in {resources['duration'] * 1000:.1f} ms (otel-ml sampler --once)")
    for gap in resources["missing"]:
        show(f"    missing: {gap['what']} ({gap['reason'] or gap['kind']})")
    present = [name for name, is_installed in findings["extras"].items() if is_installed]
    absent = [name for name, is_installed in findings["extras"].items() if not is_installed]
    show(f"  extras installed: {', '.join(present) or 'none'}")
    if absent:
        show(f"  extras missing: {', '.join(absent)}  (pip install 'otel-ml[{','.join(absent)}]')")
    for line in series_lines(findings["expected_series"]):
        show(line)
