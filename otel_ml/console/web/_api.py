"""The JSON API: read-only and bounded; an error is one line of JSON."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

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
    from otel_ml.console.web._query_runner import QueryRunner

    Endpoint = Callable[[Request], Awaitable[Any]]


class Api:
    """The endpoints below ``/api``."""

    def __init__(self, reader: QueryRunner, ingest: IngestQueue, prefix: str = "") -> None:
        self._reader = reader
        status = Operation(
            "/api/status",
            "What the console received since its start, and what it holds",
            "received = refused + busy + stored + duplicates + dropped + queued, in all and by signal; `rows` held",
            (),
            lambda _: ingest.status(),
        )
        self._operations = (*OPERATIONS, status)
        self._document = document((*OPERATIONS, EXPORT, status), metadata.version("otel-ml"), prefix)

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
