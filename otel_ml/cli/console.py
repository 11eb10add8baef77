"""`otel-ml console`: the back end for a laptop."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING

from otel_ml.cli._terminal import clean, say
from otel_ml.console import ConsoleError, Options, default_database, serve

if TYPE_CHECKING:
    from collections.abc import Callable

_EPILOG = """\
example:
  otel-ml console --database fraud.duckdb
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python service.py
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "console",
        help="receive OTLP, keep it in a DuckDB file and show it on a web page",
        description="Receives OTLP over HTTP, keeps it in a DuckDB file and shows predictions with their traces, "
        "features, log lines and labels on a web page.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Options()
    parser.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=default.port, help="port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--database",
        default=default_database(),
        metavar="FILE",
        help="DuckDB file, or :memory: to keep nothing (default: %(default)s)",
    )
    parser.add_argument(
        "--retention-hours",
        type=float,
        default=default.retention_hours,
        metavar="HOURS",
        help="delete what arrived longer ago (default: %(default)g)",
    )
    parser.add_argument(
        "--max-rows",
        type=int,
        default=default.max_rows,
        metavar="N",
        help="rows kept a table, the oldest go first (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the ready line as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the console until it is told to stop; 0 when all that was accepted has been written."""
    try:
        options = Options(
            host=args.host,
            port=args.port,
            database=args.database,
            retention_hours=args.retention_hours,
            max_rows=args.max_rows,
        )
        if not options.is_loopback:
            say(
                "console",
                f"warning: {options.host} can be reached by others, and whoever reaches it reads all predictions",
            )
        # the file and its log hold features: nobody else on this machine needs to read them
        os.umask(0o077)
        if serve(options, _ready(options, as_json=args.json)):
            return 0
        say("console", "some accepted records could not be written")
    except ConsoleError as error:
        say("console", str(error))
    return 1


def _ready(options: Options, *, as_json: bool) -> Callable[[str], None]:
    def ready(address: str) -> None:
        line = f"otel-ml console: {address} shows what arrives there over OTLP; kept in {options.database}"
        print(json.dumps({"address": address, "database": options.database}) if as_json else clean(line), flush=True)

    return ready
