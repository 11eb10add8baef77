"""Calls of a FastAPI application as a server makes them."""

from __future__ import annotations

import asyncio

import fastapi
import pytest
from fastapi import FastAPI

from otel_ml import instrument_fastapi

needs_native = pytest.mark.skipif(
    tuple(int(part) for part in fastapi.__version__.split(".")[:2]) < (0, 142),
    reason="FastAPI has telemetry of its own since 0.142",
)


def application(endpoint=lambda: 1, **options):
    app = FastAPI()
    undo = instrument_fastapi(app, **options)
    app.add_api_route("/", endpoint)
    app.undo = undo
    return app


def drive(app, path="/", kind="http", messages=None, **changes):
    """Calls an application as a server does; returns what it sent."""
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **changes,
    }
    sent, waiting = [], list(messages or [{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return waiting.pop(0) if waiting else {"type": f"{kind}.disconnect", "code": 1000}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent
