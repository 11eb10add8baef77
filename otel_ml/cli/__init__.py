"""The ``otel-ml`` command: one module per sub-command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "demo": "serve the example, send real traffic, look at it in the console",
    "console": "the embedded back end: OTLP receiver, store and web page",
    "sampler": "read CPU, memory, disk, network and GPUs and export them",
    "profile": "fit the training reference that live inputs are compared with",
    "drift": "compare a file with a training reference",
    "rules": "print the Prometheus recording rules and alerts",
    "evaluate": "performance of labelled predictions from the store",
    "doctor": "show the mode, the settings and whether the back end answers",
}


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command; only the chosen sub-command's module is imported."""
    parser = argparse.ArgumentParser(
        prog="otel-ml",
        description="OpenTelemetry-native observability for machine-learning services.",
        epilog="example: otel-ml console --port 4318",
    )
    parser.add_argument("--version", action="store_true", help="print the version and end")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if name == chosen:
            import_module(f"otel_ml.cli.{name}").add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
        subparsers.choices[name].set_defaults(parser=subparsers.choices[name])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one sub-command and returns its exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    given, unknown = parser.parse_known_args(words)
    if unknown:  # said by the sub-command, with its usage
        getattr(given, "parser", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if given.version:
        from otel_ml import __version__

        print(f"otel-ml {__version__}")
        return 0
    if given.command is None:
        parser.print_help()
        return 2
    try:
        return int(import_module(f"otel_ml.cli.{given.command}").run(given))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
