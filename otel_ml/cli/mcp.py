"""`otel-ml mcp`: lets an assistant ask a console, by the Model Context Protocol."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

from otel_ml.cli._console.client import ConsoleClient, add_token
from otel_ml.cli._terminal import CommandError, progress

_CONSOLE: Final = "http://127.0.0.1:4318"
_EPILOG: Final = """\
examples:
  otel-ml mcp --json                         # the block for the configuration of a client
  claude mcp add otel-ml -- otel-ml mcp      # for Claude Code
"""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Gives an assistant tools that read a console: what needs attention, predictions with their exceptions, "
        "features, labels and log lines, drift, performance, requests. Clients of the Model Context Protocol start "
        "this command and talk to it on standard input and output. It changes nothing."
    )
    parser.epilog = _EPILOG
    parser.add_argument("--console", metavar="URL", default=_CONSOLE, help="address of it (default: %(default)s)")
    add_token(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the block for the configuration of a client as JSON, and exit"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until standard input ends; 0."""
    console = ConsoleClient(arguments.console, "--console", arguments.token_file)
    if arguments.json:
        print(json.dumps(_configuration(arguments), indent=2))
        return 0
    try:
        from otel_ml.cli._mcp.server import serve
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is missing: pip install 'otel-ml[mcp]'") from error
    if sys.stdin.isatty():
        progress("otel-ml mcp: waiting for a client on standard input; see otel-ml mcp --help for its configuration")
    serve(console)
    return 0


def _configuration(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what most clients take; with full paths, since a client has another PATH and folder."""
    token = [] if arguments.token_file is None else ["--token-file", str(arguments.token_file.resolve())]
    command = ["-m", "otel_ml", "mcp", "--console", arguments.console, *token]
    return {"mcpServers": {"otel-ml": {"command": sys.executable, "args": command}}}
