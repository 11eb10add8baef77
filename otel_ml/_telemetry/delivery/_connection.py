"""The open connection of a transport: name lookup, connecting and every later step end at one deadline."""

from __future__ import annotations

import codecs
import contextlib
import ipaddress
import queue
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from otel_ml import _process

Lookup = Callable[..., list[tuple[Any, ...]]]
"""`socket.getaddrinfo` or its twin."""

_SHORTEST: Final = 0.001
"""Seconds: a socket's timeout of 0 would mean that it does not wait at all."""

codecs.lookup("idna")
"""The first name lookup imports this codec. A fork while a thread of ours does so would leave the module's import lock
held in the child, for good."""


class Line:
    """What one transport has open. Used by one thread at a time; `cut` may come from any other."""

    def __init__(self, lookup: Lookup) -> None:
        self.deadline = float("inf")
        self._lookup = lookup
        self._asked: _Question | None = None
        self._twin: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether a connection has been kept."""
        return self._twin is not None

    def open(self, host: str, port: int) -> socket.socket:
        """Connects to the first address that answers.

        Raises:
            OSError: None did before the deadline.
        """
        error = OSError(f"no address for {host}")
        for family, kind, protocol, _, address in self._addresses(host.strip("[]"), port):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(max(_SHORTEST, self.deadline - monotonic()))
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as refused:
                opened.close()
                error = refused
                continue
            self.forget()
            # A second descriptor of the same connection: TLS takes the first one over before its handshake.
            self._twin = opened.dup()
            return opened
        raise error

    def cut(self) -> None:
        """Ends the connection under whoever reads or writes it."""
        with self._lock:
            if self._twin is not None:
                with contextlib.suppress(OSError):  # closed by the other side meanwhile
                    self._twin.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Closes our second descriptor; the connection itself is closed by its pool."""
        with self._lock:
            self._close()

    def abandon(self) -> None:
        """In a forked child: closes this process's descriptor of the parent's connection."""
        self._lock = threading.Lock()
        self._asked = None
        self._close()

    def _close(self) -> None:
        if self._twin is not None:
            self._twin.close()
            self._twin = None

    def _addresses(self, host: str, port: int) -> list[tuple[Any, ...]]:
        asked = self._asked
        if asked is None or asked.is_answered:
            asked = self._asked = _Question(self._lookup, host, port)
        return asked.wait(max(_SHORTEST, self.deadline - monotonic()))


class _Question:
    """A name lookup on a thread of its own, since nothing can end one: whoever comes again waits for the same."""

    def __init__(self, lookup: Lookup, host: str, port: int) -> None:
        self._ask: Callable[[], list[tuple[Any, ...]]] = lambda: lookup(host, port, 0, socket.SOCK_STREAM)
        self._answered = threading.Event()
        self._addresses: list[tuple[Any, ...]] = []
        self._error: OSError | None = None
        if _is_address(host):
            self._run()
            return
        if _process.spawn("otel-ml-lookup", self._run) is None:
            self._run()

    @property
    def is_answered(self) -> bool:
        return self._answered.is_set()

    def wait(self, seconds: float) -> list[tuple[Any, ...]]:
        if not self._answered.wait(seconds):
            raise TimeoutError("the name lookup takes too long")
        if self._error is not None:
            raise self._error
        return self._addresses

    def _run(self) -> None:
        try:
            self._addresses = self._ask()
        except (OSError, UnicodeError) as error:
            self._error = error if isinstance(error, OSError) else OSError(str(error))
        finally:
            self._answered.set()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def pool(parts: Any, line: Line, **tls: Any) -> urllib3.HTTPConnectionPool:
    """A pool of one connection, opened through the line.

    Args:
        parts: The split URL.
        line: What opens the connection.
        tls: Keywords of `urllib3.HTTPSConnectionPool`.
    """
    host = parts.hostname or "localhost"

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _opened(self, line)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _opened(self, line)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain
        QueueCls = _Slots  # type: ignore[assignment]

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure
        QueueCls = _Slots  # type: ignore[assignment]

    if parts.scheme == "http":
        return PlainPool(host, parts.port, maxsize=1, block=False)
    return SecurePool(host, parts.port, maxsize=1, block=False, cert_reqs="CERT_REQUIRED", **tls)


class _Slots:
    """The pool's queue without a lock, which a forked child would inherit as another thread of the parent held it."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._items: list[Any] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002 - as `queue.Queue`
        if not self._items:
            raise queue.Empty
        return self._items.pop()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        if len(self._items) >= self._maxsize:
            raise queue.Full
        self._items.append(item)

    def qsize(self) -> int:
        return len(self._items)


def _opened(connection: HTTPConnection, line: Line) -> socket.socket:
    try:
        opened = line.open(connection.host, connection.port or 0)
    except OSError as error:
        raise NewConnectionError(connection, str(error)) from error
    opened.settimeout(max(_SHORTEST, line.deadline - monotonic()))
    return opened
