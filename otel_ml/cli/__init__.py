"""The ``otel-ml`` command: one module per sub-command, with ``define`` for its arguments and ``run`` for its work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

from otel_ml.cli._terminal import CommandError, say

COMMANDS: Final = {
    "demo": "serve the example, send real traffic and show it in the console",
    "console": "receive OTLP, keep it in a DuckDB file and show it on a web page",
    "mcp": "let an assistant ask a console what is wrong and why (Model Context Protocol)",
    "sampler": "read CPU, memory, disk, network and GPUs and export them",
    "profile": "make the reference profile of a model's training data",
    "drift": "compare a data set with a reference profile",
    "report": "write drift and performance of a data set as one HTML page",
    "rules": "print or write the Prometheus recording rules and alerts",
    "label": "record labels from files in a prediction store",
    "evaluate": "print accuracy, F1, AUC or errors of a model from its labelled predictions",
    "compare": "say which of two versions of a model is better",
    "doctor": "show the mode and the settings, and whether the back end takes each signal",
}
"""Each sub-command and what it does."""
_EPILOG: Final = """\
exit codes:
  0  done, and the answer is yes where the command answers a question
  1  done, and the answer is no: drift with --fail, nothing to evaluate, labels that failed, a check that was not
     delivered, lost records
  2  bad input, or something that the command needs is missing; one line on standard error says what
example:
  otel-ml console --port 4318
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps one-line texts and keeps the lines of others."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)  # noqa: SLF001 - the base of the base


class _Parser(argparse.ArgumentParser):
    """Reports an error as one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, formatter_class=_Help)

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2."""
        say(self.prog, f"{message}; see {self.prog} --help")
        raise SystemExit(2)


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command; imports only the module of the chosen sub-command."""
    parser = _Parser(
        prog="otel-ml",
        description="OpenTelemetry-native observability for machine-learning services.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="store_true", dest="print_version", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary)
        subparser.set_defaults(parser=subparser)
        if name == chosen:
            import_module(f"otel_ml.cli.{name}").define(subparser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one sub-command and returns its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    given, unknown = parser.parse_known_args(words)
    if unknown:  # reported by the sub-command, whose help lists the options
        getattr(given, "parser", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if given.print_version:
        from otel_ml import __version__

        print(f"otel-ml {__version__}")
        return 0
    if given.command is None:
        parser.print_help()
        return 2
    try:
        return int(import_module(f"otel_ml.cli.{given.command}").run(given))
    except CommandError as error:
        say(f"otel-ml {given.command}", error)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
