"""The embedded back end: OTLP over HTTP and gRPC in, a DuckDB file, a JSON API and web pages out."""

from __future__ import annotations

from otel_ml.console._options import ConsoleError, Options, default_database
from otel_ml.console._serve import serve
from otel_ml.console.public._token import make_token, read_token

__all__ = ["ConsoleError", "Options", "default_database", "make_token", "read_token", "serve"]
