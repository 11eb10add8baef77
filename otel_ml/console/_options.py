"""The settings and limits of the console, checked before anything starts."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from otel_ml import semconv

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
MEMORY = ":memory:"
"""Name of a database that is not on disk."""


class ConsoleError(Exception):
    """The console cannot start; the message is one line with the remedy."""


@dataclass(frozen=True)
class Options:
    """The settings of one console; the constructor raises `ConsoleError` for a wrong one."""

    host: str = "127.0.0.1"
    port: int = 4318
    """Port of the receiver, the API and the page; 0 takes a free one."""
    grpc_port: int | None = None
    """Port of the OTLP/gRPC receiver; 0 takes a free one, None has none."""
    token: str | None = field(default=None, repr=False)
    """What senders, programs and logins have to show; none on loopback, unless one is given."""
    url_prefix: str = ""
    """Path below which a proxy shows the console, such as ``/otel-ml``."""
    database: str = MEMORY
    """Path of the DuckDB file, or ``:memory:``."""
    retention_hours: float = 72.0
    """Records that arrived longer ago are deleted."""
    max_rows: int = 2_000_000
    """Rows kept in each table; the oldest arrivals are deleted first."""
    max_table_bytes: int = 2 << 30
    """Bytes of text kept in each table, before compression; the oldest arrivals are deleted first."""
    max_request_bytes: int = 20 << 20
    """Largest OTLP request, measured before and after decompression."""
    max_request_records: int = 100_000
    """Records of one request, including its resources and scopes."""
    max_connections: int = 512
    """Open connections, at most half of the process's file limit; beyond it the one that has waited longest for its
    sender is closed."""
    header_seconds: float = 10.0
    """Time for the headers of a request."""
    idle_seconds: float = 120.0
    """Time between two requests on one connection: longer than senders wait between two exports, since one that
    sends just when its connection is closed loses the export."""
    body_seconds: float = 30.0
    """Time for the body of an OTLP request."""
    max_pending_bytes: int = 64 << 20
    """Bytes of OTLP requests in memory, being read or waiting for the writer."""
    max_pending_records: int = 50_000
    """Records that wait for the writer; further ones are answered with 503."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConsoleError(f"--port {self.port}: expected 0 to 65535")
        if not self.is_loopback and self.token is None:
            raise ConsoleError(
                f"--host {self.host}: a console that others can reach needs a token; add --token-file FILE (made if it "
                f"does not exist) or set {semconv.ENV_CONSOLE_TOKEN}"
            )
        if self.url_prefix and _PREFIX.fullmatch(self.url_prefix) is None:
            raise ConsoleError(f"--url-prefix {self.url_prefix}: expected a path such as /otel-ml")
        if not 0 < self.retention_hours <= 24 * 3650:
            raise ConsoleError(f"--retention-hours {self.retention_hours:g}: expected more than 0, at most 87600")
        if not 1 <= self.max_rows <= 100_000_000:
            raise ConsoleError(f"--max-rows {self.max_rows}: expected 1 to 100000000")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the console."""
        return self.host in LOOPBACK


def default_database() -> str:
    """The console's file in the user's cache folder, as the platform defines it.

    Raises:
        ConsoleError: The user has no home, as in some containers.
    """
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise ConsoleError("this user has no home folder for the file; choose a --database") from None
    return str(base / "otel-ml" / "console.duckdb")
