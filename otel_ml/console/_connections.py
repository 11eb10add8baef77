"""Limits of connections: a deadline for headers, and a number beyond which the slowest is closed."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from otel_ml.console._options import Options

# httptools, which is faster, loses the body of a request that asks for HTTP/2, as Java's client does
_Protocol: Any = H11Protocol
_MANY = 1 << 20
_HTTP_2 = b"PRI * HTTP/2.0"
"""How a connection begins whose client knows that it wants HTTP/2, as gRPC does."""
_positions = itertools.count(1)


class Connection(_Protocol):  # type: ignore[misc]
    """A uvicorn connection with a deadline for the headers of a request and a limit on all connections.

    Beyond the limit the one that has waited longest for its sender is closed, so a sender of whole requests gets in.
    """

    header_seconds: float
    max_connections: int
    by_grpc: Callable[[], None]
    """Called for each connection that begins as gRPC does."""
    _deadline: asyncio.TimerHandle | None = None
    waiting_position = 0
    """Position in the order in which connections began to wait; the clock of the loop is too coarse for that."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._make_room()
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if data.startswith(_HTTP_2):
            self.by_grpc()
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # until the next request begins, uvicorn's own deadline holds
        self.waiting_position = next(_positions)

    def send_400_response(self, msg: str) -> None:
        # a request is answered once, also if the rest of a body that the console did not need is broken
        if self.cycle is None or not self.cycle.response_started:
            super().send_400_response(msg)
            if self.cycle is not None:
                # else the application would send a second answer
                self.cycle.disconnected = True
                self.cycle.message_event.set()
        elif self.cycle.response_complete:
            self.transport.close()

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
            # the receiver has a deadline for the body
            self._stop_watching()
        elif self._deadline is None and not self.transport.is_closing():
            self.waiting_position = next(_positions)
            self._deadline = self.loop.call_later(self.header_seconds, self.close_now)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def close_now(self) -> None:
        """Closes the connection at once."""
        self._deadline = None
        self.transport.abort()

    def _make_room(self) -> None:
        if len(self.connections) < self.max_connections:
            return
        waiting = [one for one in self.connections if one.waits_for_sender and not one.transport.is_closing()]
        if waiting:
            min(waiting, key=lambda one: one.waiting_position).close_now()


def connection_class(options: Options, by_grpc: Callable[[], None]) -> type[Connection]:
    """The class of which uvicorn creates an instance for each connection."""
    limit = min(options.max_connections, _files() // 2)
    values = {"header_seconds": options.header_seconds, "max_connections": limit, "by_grpc": staticmethod(by_grpc)}
    return type("Connection", (Connection,), values)


def _files() -> int:
    """Files that this process may have open."""
    if sys.platform == "win32":
        return _MANY
    try:
        import resource
    except ImportError:
        return _MANY
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY if soft == resource.RLIM_INFINITY else soft
