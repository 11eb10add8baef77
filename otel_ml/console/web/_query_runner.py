"""Runs queries off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException

from otel_ml.console._threads import BusyError, Threads

if TYPE_CHECKING:
    from otel_ml.console.storage._store import Database

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
