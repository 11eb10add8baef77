"""The JSON API: read-only and bounded; an error is one line of JSON."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from otel_ml.console._threads import BusyError, Threads
from otel_ml.console.performance._performance import performance
from otel_ml.console.receiving._values import dump
from otel_ml.console.storage import _feature_verdicts, _prediction_detail, _prediction_rows, _queries
from otel_ml.console.web import _query_parameters
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
        self._ingest = ingest

    def routes(self) -> list[Route]:
        """The API's routes."""
        table: dict[str, Endpoint] = {
            "/api/predictions": self._predictions,
            "/api/predictions/{id:path}": self._prediction,
            "/api/traces/{trace_id}": self._trace,
            "/api/logs": self._logs,
            "/api/metrics": self._metrics,
            "/api/summary": self._summary,
            "/api/features": self._features,
            "/api/performance": self._performance,
            "/api/rows": self._rows,
            "/api/status": self._status,
        }
        return [Route(path, _answer(endpoint), methods=["GET"]) for path, endpoint in table.items()]

    async def _predictions(self, request: Request) -> Any:
        wanted = _query_parameters.prediction_filter(request.query_params, ("limit", "model", "version", "since"))
        return {"predictions": await self._reader.read(_queries.predictions, wanted)}

    async def _prediction(self, request: Request) -> Any:
        _query_parameters.check(request.query_params, ())
        return await self._reader.read(_prediction_detail.prediction, request.path_params["id"])

    async def _trace(self, request: Request) -> Any:
        _query_parameters.check(request.query_params, ())
        return await self._reader.read(_queries.trace, _query_parameters.trace_id(request.path_params["trace_id"]))

    async def _logs(self, request: Request) -> Any:
        given = request.query_params
        _query_parameters.check(given, ("trace_id", "prediction_id", "limit"))
        trace_id, limit = _query_parameters.trace_id(given.get("trace_id")), _query_parameters.limit(given)
        return {"logs": await self._reader.read(_queries.logs, limit, trace_id, given.get("prediction_id"))}

    async def _metrics(self, request: Request) -> Any:
        given = request.query_params
        _query_parameters.check(given, ("name", "limit"))
        name, limit = given.get("name"), _query_parameters.limit(given)
        if name is None:
            return {"metrics": await self._reader.read(_queries.series)}
        return {"name": name, "points": await self._reader.read(_queries.points, name, limit)}

    async def _summary(self, request: Request) -> Any:
        _query_parameters.check(request.query_params, ("model",))
        return await self._reader.read(_queries.summary, request.query_params.get("model"))

    async def _features(self, request: Request) -> Any:
        _query_parameters.check(request.query_params, ("model",))
        model = request.query_params.get("model")
        return {"features": await self._reader.read(_feature_verdicts.features, model)}

    async def _performance(self, request: Request) -> Any:
        _query_parameters.check(request.query_params, ("model",))
        return await self._reader.read(performance, _query_parameters.model(request.query_params))

    async def _rows(self, request: Request) -> Any:
        return await self._reader.read(_prediction_rows.rows, _query_parameters.row_filter(request.query_params))

    async def _status(self, request: Request) -> Any:
        _query_parameters.check(request.query_params, ())
        return self._ingest.status()


def error(status: int, message: str) -> Response:
    """An error as one line of JSON."""
    return Response(dump({"error": message}), status, media_type="application/json")


def _answer(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            found = await endpoint(request)
        except BadParameterError as bad:
            return error(400, str(bad))
        return error(404, "not found") if found is None else Response(dump(found), media_type="application/json")

    return answer
