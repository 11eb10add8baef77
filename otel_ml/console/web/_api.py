"""The JSON API: read-only and bounded; an error is one line of JSON."""

from __future__ import annotations

import asyncio
import functools
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from otel_ml.console._threads import BusyError, Threads
from otel_ml.console.receiving._values import dump
from otel_ml.console.web import _parameters
from otel_ml.console.web._exports import EXPORT, export
from otel_ml.console.web._openapi import document
from otel_ml.console.web._operations import OPERATIONS, Operation
from otel_ml.console.web._query_parameters import BadParameterError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from otel_ml.console.receiving._ingest_queue import IngestQueue
    from otel_ml.console.storage._store import Database

    Endpoint = Callable[[Request], Awaitable[Any]]

T = TypeVar("T")
_READERS = 4
"""Queries that run at the same time."""
_WAITING = 256
"""Queries that wait; further ones are answered with 503."""
_QUERY_SECONDS = 60.0


class QueryRunner:
    """Runs queries on a few threads, each with its own cursor."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._threads = Threads("otel-ml-console-reader", running=_READERS, waiting=_WAITING, seconds=_QUERY_SECONDS)

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """Returns the result of a query, whose first parameter is the cursor."""
        try:
            return await self._threads.run(self._run, query, arguments)
        except (BusyError, asyncio.CancelledError):
            raise HTTPException(503) from None

    def _run(self, query: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        with self._store.cursor() as cursor:
            return query(cursor, *arguments)


class Api:
    """The endpoints below ``/api``."""

    def __init__(self, reader: QueryRunner, ingest: IngestQueue) -> None:
        self._reader = reader
        status = Operation(
            "/api/status",
            "What the console received since its start, and what it holds",
            "received = refused + busy + stored + duplicates + dropped + queued, in all and by signal; `rows` held",
            (),
            lambda _: ingest.status(),
        )
        self._operations = (*OPERATIONS, status)
        self._document = document((*OPERATIONS, EXPORT, status), metadata.version("otel-ml"))

    def routes(self) -> list[Route]:
        """The API's routes."""
        return [
            Route("/api/openapi.json", _answer(self._openapi), methods=["GET"]),
            Route(EXPORT.path, _answer(self._export), methods=["GET"]),
            *(
                # an id may have slashes
                Route(one.path.replace("{id}", "{id:path}"), _answer(self._endpoint(one)), methods=["GET"])
                for one in self._operations
            ),
        ]

    def _endpoint(self, operation: Operation) -> Endpoint:
        async def endpoint(request: Request) -> Any:
            given = _parameters.read(request.query_params, operation.parameters)
            query = functools.partial(operation.query, **given)
            found = await self._reader.read(query, *request.path_params.values())
            return error(404, "not found") if found is None else found

        return endpoint

    async def _openapi(self, request: Request) -> Any:
        _parameters.read(request.query_params, ())
        return self._document

    async def _export(self, request: Request) -> Response:
        return export(self._reader, request)


def error(status: int, message: str) -> Response:
    """An error as one line of JSON."""
    return Response(dump({"error": message}), status, media_type="application/json")


def _answer(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            found = await endpoint(request)
        except BadParameterError as bad:
            return error(400, str(bad))
        return found if isinstance(found, Response) else Response(dump(found), media_type="application/json")

    return answer
