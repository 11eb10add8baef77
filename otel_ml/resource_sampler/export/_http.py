"""HTTP/1.1 requests with a body over one kept connection, each with a hard deadline; sockets and nothing else."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

_HEAD_BYTES: Final = 32 * 1024
"""A longer head of an answer is no answer."""
_BODY_BYTES: Final = 64 * 1024
"""Of an answer's body so much is read; the connection does not outlive a longer one."""
_CHUNK: Final = 16 * 1024
_DIGITS: Final = 9
"""A longer number in an answer is none."""
LONGEST_WAIT: Final = 300.0
"""Seconds; a receiver that asks for more is asked again after these: one wrong answer must not silence for good."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Answer(NamedTuple):
    """What a receiver said."""

    status: int
    body: bytes
    retry_after: float | None
    """Seconds, at most `LONGEST_WAIT`."""


class Poster:
    """Posts to one address; redirects are not followed, proxies not asked.

    Args:
        url: Where to; ``http`` or ``https``.
        headers: Sent with every request.
        tls: The context for ``https``; by default that of the system.
        resolve: `socket.getaddrinfo`, or what answers like it.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        *,
        resolve: Callable[..., Any] = socket.getaddrinfo,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._resolve = resolve
        self._tls = tls
        if parts.scheme == "https" and tls is None:
            import ssl

            self._tls = ssl.create_default_context()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._head = "\r\n".join(lines).encode("utf-8", "replace")
        self._socket: socket.socket | None = None
        self._is_cut = False

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request.

        A kept connection that the receiver has closed meanwhile is opened anew, once.

        Raises:
            OSError: There was no answer in time, or none that is HTTP.
        """
        deadline = time.monotonic() + timeout
        kept, self._is_cut = self._socket is not None, False
        request = self._head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        try:
            try:
                return self._exchange(request, deadline)
            except (ConnectionError, TimeoutError) as error:
                self.close()
                if not kept or self._is_cut or isinstance(error, TimeoutError):
                    raise
                return self._exchange(request, deadline)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection; the next request opens another one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def cut(self) -> None:
        """Ends the request in flight, from another thread; a later one is sent as ever."""
        self._is_cut = True
        connection = self._socket
        if connection is not None:
            try:
                # not that of a TLS connection, which goes on unencrypted for a moment
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass

    def _exchange(self, request: bytes, deadline: float) -> Answer:
        connection = self._socket
        if connection is None:
            connection = self._connected(deadline)
            if self._tls is not None:
                wrapped = self._tls.wrap_socket(connection, server_hostname=self._host, do_handshake_on_connect=False)
                self._socket = connection = wrapped
                wrapped.do_handshake()
            else:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_left(deadline))
        connection.sendall(request)
        return self._answer(connection, deadline)

    def _connected(self, deadline: float) -> socket.socket:
        """A connection to the first address that answers; each has its part of the time that is left."""
        try:
            addresses = self._resolve(self._host, self._port, 0, socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError(errno.EINVAL, f"{self._host!r} is no host name") from None
        error = OSError(errno.EADDRNOTAVAIL, f"{self._host!r} has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            self._socket = connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(deadline) / (len(addresses) - tried))
                connection.connect(address)
            except OSError as refused:
                self.close()
                error = refused
                if self._is_cut:
                    break
            else:
                return connection
        raise error

    def _answer(self, connection: socket.socket, deadline: float) -> Answer:
        received = b""
        while True:
            head, end, rest = received.partition(b"\r\n\r\n")
            if end:
                status, headers = _parsed(head)
                received = rest
                if status >= 200:  # others announce the answer proper
                    break
                continue
            if len(received) > _HEAD_BYTES:
                raise ConnectionError("the head of the answer does not end")
            received += _received(connection, deadline)
        length = _number(headers.get(b"content-length", b""))
        wanted = length or 0
        while len(received) < min(wanted, _BODY_BYTES):
            received += _received(connection, deadline)
        is_last = headers.get(b"connection", b"").lower() == b"close"
        # what came beyond the answer would be taken for the next one
        if length is None or wanted > _BODY_BYTES or len(received) > wanted or is_last:
            self.close()
        after = headers.get(b"retry-after", b"")
        wait = min(float(after), LONGEST_WAIT) if after.isdigit() else None
        return Answer(status, received[:wanted], wait)


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) <= _DIGITS else None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


def _received(connection: socket.socket, deadline: float) -> bytes:
    connection.settimeout(_left(deadline))
    chunk = connection.recv(_CHUNK)
    if not chunk:
        raise ConnectionError("the connection was closed before the answer")
    return chunk


def _parsed(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers, their names in lower case."""
    first, *lines = head.split(b"\r\n")
    words = first.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3 or not words[1].isdigit():
        raise ConnectionError("the answer is not HTTP")
    pairs = (line.partition(b":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
