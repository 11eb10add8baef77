"""Connections that may be slow, but neither for ever nor at the cost of others."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    import asyncio

    from otel_ml.console._options import Options

_Protocol: Any = AutoHTTPProtocol
_MANY = 1 << 20
_places = itertools.count(1)


class Connection(_Protocol):  # type: ignore[misc]
    """A connection of uvicorn's with a deadline for a request's headers and a limit on all connections.

    Beyond the limit the one that has waited longest for its sender is closed: whoever sends whole requests gets in.
    """

    header_seconds: float
    max_connections: int
    _deadline: asyncio.TimerHandle | None = None
    waits_since = 0
    """Place in the order in which connections began to wait; the clock of a loop may stand still for a while."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._make_room()
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    @property
    def _waits_for_headers(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    @property
    def waits_for_sender(self) -> bool:
        """Whether the console can do nothing until the other side sends or reads."""
        return self._waits_for_headers or bool(self.cycle.more_body) or bool(self.flow.write_paused)

    def _watch(self) -> None:
        if not self._waits_for_headers:
            # the body has a deadline of its own, in the receiver
            self._stop_watching()
        elif self._deadline is None and not self.transport.is_closing():
            self.waits_since = next(_places)
            self._deadline = self.loop.call_later(self.header_seconds, self.give_up)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def give_up(self) -> None:
        """Closes the connection at once."""
        self._deadline = None
        self.transport.abort()

    def _make_room(self) -> None:
        if len(self.connections) < self.max_connections:
            return
        waiting = [one for one in self.connections if one.waits_for_sender and not one.transport.is_closing()]
        if waiting:
            min(waiting, key=lambda one: one.waits_since).give_up()


def connection_class(options: Options) -> type[Connection]:
    """The class that uvicorn makes for each connection."""
    limit = min(options.max_connections, _files() // 2)
    return type("Connection", (Connection,), {"header_seconds": options.header_seconds, "max_connections": limit})


def _files() -> int:
    """Files that this process may have open."""
    if sys.platform == "win32":
        return _MANY
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY if soft == resource.RLIM_INFINITY else soft
