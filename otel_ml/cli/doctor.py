"""`otel-ml doctor`: the mode, the settings in force, what is installed and whether the back end answers."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from typing import Any

import otel_ml
from otel_ml import _guard

_EXTRAS = {
    "fastapi": ("fastapi", "opentelemetry.instrumentation"),
    "gpu": ("pynvml",),
    "prometheus": ("opentelemetry.exporter.prometheus",),
    "grpc": ("grpc",),
    "quality": ("numpy", "pandas", "pyarrow"),
    "ground-truth": ("sqlalchemy",),
    "console": ("duckdb", "starlette", "uvicorn", "jinja2"),
}
_FEATURE_SERIES = 13
"""Series of one feature: 10 bins, one for unseen or other values, missing, and the size of the reference."""
_MODEL_SERIES = 70
"""Series of one model without features: counters, and the buckets of its histograms."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "doctor",
        help="show the mode, the settings and whether the back end answers",
        description="Configures telemetry from the environment as a service would, sends one export and says what "
        "became of it.",
        epilog="example: OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 otel-ml doctor",
    )
    parser.add_argument("--endpoint", help="try this endpoint instead of the environment's")
    parser.add_argument("--timeout", type=_seconds, default=5.0, help="seconds to wait for the back end (default: 5)")
    parser.add_argument("--features", type=_count, default=16, help="features of a model, for the series to expect")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def _seconds(value: str) -> float:
    number = _guard.attempt(float, value)
    if number is None or not 0 < number < 3600:
        raise argparse.ArgumentTypeError(f"must be seconds above 0 and below 3600, not {value}")
    return number


def _count(value: str) -> int:
    number = _guard.attempt(int, value)
    if number is None or number < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not {value}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; 0 when the back end took what was sent, or when nothing is to be sent."""
    try:
        keywords = {} if arguments.endpoint is None else {"endpoint": arguments.endpoint}
        telemetry = otel_ml.configure(**keywords)
    except otel_ml.ConfigError as error:
        print(f"otel-ml doctor: {error}", file=sys.stderr)
        return 1
    delivered = telemetry.force_flush(arguments.timeout)
    findings = _findings(telemetry, delivered=delivered, features=arguments.features)
    telemetry.shutdown(1.0)
    if arguments.json:
        print(json.dumps(findings))
    else:
        _print(findings)
    return 0 if delivered or telemetry.mode != "own" else 1


def _findings(telemetry: Any, *, delivered: bool, features: int) -> dict[str, Any]:
    reference = 11 * features
    return {
        "version": otel_ml.__version__,
        "mode": telemetry.mode,
        "notes": telemetry.notes(),
        "delivered": delivered,
        "ledger": {
            signal: {
                "produced": entry.produced,
                "delivered": entry.delivered,
                "rejected": entry.rejected,
                "dropped": dict(entry.dropped),
                "in_flight": entry.in_flight,
            }
            for signal, entry in telemetry.ledger().items()
        },
        "resources": _resources(),
        "extras": {extra: all(_is_installed(name) for name in names) for extra, names in _EXTRAS.items()},
        "expected_series": {
            "per_model_and_process": _MODEL_SERIES + _FEATURE_SERIES * features + reference,
            "features": features,
        },
    }


def _resources() -> dict[str, Any]:
    """One reading of this machine: how many figures each source gives, how long it took, what is missing and why."""
    from otel_ml.resource_sampler import sources_of

    sampler = otel_ml.ResourceSampler(sources=sources_of("node", elect=False))
    snapshot = sampler.sample()
    sampler.close()
    return {
        "duration": snapshot.duration,
        "readings": {part.source: len(part.readings) for part in snapshot.sources},
        "missing": [
            {"source": part.source, "what": gap.what, "kind": gap.kind, "reason": gap.detail}
            for part in snapshot.sources
            for gap in part.gaps
        ],
    }


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _print(findings: dict[str, Any]) -> None:
    print(f"otel-ml {findings['version']}")
    for note in findings["notes"]:
        print(f"  {note}")
    if findings["mode"] == "own":
        print("  the back end took the export" if findings["delivered"] else "  the back end did NOT take the export")
    resources = findings["resources"]
    read = ", ".join(f"{count} of the {source}" for source, count in resources["readings"].items() if count)
    print(f"  resources: {read or 'none'}, read in {resources['duration'] * 1000:.1f} ms (otel-ml sampler --once)")
    for gap in resources["missing"]:
        print(f"    missing: {gap['what']} ({gap['reason'] or gap['kind']})")
    present = [name for name, here in findings["extras"].items() if here]
    absent = [name for name, here in findings["extras"].items() if not here]
    print(f"  extras installed: {', '.join(present) or 'none'}")
    if absent:
        print(f"  extras missing: {', '.join(absent)}  (pip install 'otel-ml[{','.join(absent)}]')")
    series = findings["expected_series"]
    print(f"  series to expect: about {series['per_model_and_process']} a model and process with {series['features']} "
          "features")  # fmt: skip
