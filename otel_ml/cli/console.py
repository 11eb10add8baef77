"""`otel-ml console`: the back end for a laptop."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_ml import semconv
from otel_ml.cli._arguments import add_json, whole
from otel_ml.cli._terminal import CommandError, say, show
from otel_ml.console import ConsoleError, Options, default_database, make_token, read_token, serve

if TYPE_CHECKING:
    from collections.abc import Callable

_PROGRAM: Final = "otel-ml console"
_GRPC_PORT: Final = 4317
_EPILOG: Final = """\
example:
  otel-ml console --database fraud.duckdb
  otel-ml console --host 0.0.0.0 --token-file console.token
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python service.py
"""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Receives OTLP over HTTP and gRPC, keeps it in a DuckDB file and shows predictions with their traces, "
        "features, log lines and labels on a web page."
    )
    parser.epilog = _EPILOG
    default = Options()
    parser.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=whole(0, 65535), default=default.port, help="port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--grpc-port",
        type=_port_or_off,
        metavar="PORT",
        help=f"port of OTLP/gRPC, or off (default: {_GRPC_PORT}, and off if --port is not {default.port})",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with the token that senders and logins need, made if it does not exist (default: "
        f"{semconv.ENV_CONSOLE_TOKEN}; on loopback none)",
    )
    parser.add_argument(
        "--url-prefix",
        default=default.url_prefix,
        metavar="PATH",
        help="path below which a proxy shows the console, such as /otel-ml (default: none)",
    )
    parser.add_argument(
        "--database",
        metavar="FILE",
        help="DuckDB file, or :memory: to keep nothing (default: otel-ml/console.duckdb in the user's cache folder)",
    )
    parser.add_argument(
        "--retention-hours",
        type=float,
        default=default.retention_hours,
        metavar="HOURS",
        help="delete records that arrived longer ago (default: %(default)g)",
    )
    parser.add_argument(
        "--max-rows",
        type=int,
        default=default.max_rows,
        metavar="N",
        help="rows to keep in each table; the oldest are deleted first (default: %(default)s)",
    )
    add_json(parser, "the ready line")


def run(arguments: argparse.Namespace) -> int:
    """Runs the console until a signal ends it; 0 if all that was accepted has been written."""
    # files hold features and a token, so only the owner may read them
    os.umask(0o077)
    try:
        options = Options(
            host=arguments.host,
            port=arguments.port,
            grpc_port=_grpc_port(arguments),
            token=_token(arguments.token_file),
            url_prefix=arguments.url_prefix.rstrip("/"),
            database=arguments.database or default_database(),
            retention_hours=arguments.retention_hours,
            max_rows=arguments.max_rows,
        )
        if serve(options, _ready(options, as_json=arguments.json), lambda text: say(_PROGRAM, text)):
            return 0
    except ConsoleError as error:
        raise CommandError(error) from error
    say(_PROGRAM, "some accepted records could not be written")
    return 1


def _token(file: Path | None) -> str | None:
    if file is not None and make_token(file):
        say(_PROGRAM, f"made {file} with a new token")
    return read_token(file, os.environ)


def _port_or_off(text: str) -> int | str:
    return text if text == "off" else whole(0, 65535)(text)


def _grpc_port(arguments: argparse.Namespace) -> int | None:
    if arguments.grpc_port is None:
        return _GRPC_PORT if arguments.port == Options().port else None
    return None if arguments.grpc_port == "off" else arguments.grpc_port


def _ready(options: Options, *, as_json: bool) -> Callable[[str, str | None], None]:
    def ready(address: str, grpc: str | None) -> None:
        address += options.url_prefix
        also = "" if grpc is None else f", OTLP/gRPC at {grpc}"
        text = f"{_PROGRAM}: listening for OTLP, page at {address}{also}, data in {options.database}"
        show(json.dumps({"address": address, "grpc": grpc, "database": options.database}) if as_json else text)

    return ready
