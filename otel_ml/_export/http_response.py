"""Reads one HTTP/1.1 response from a socket: bounded in bytes, and in time as a whole."""

from __future__ import annotations

import socket
from time import monotonic
from typing import Final, NamedTuple

HEAD_BYTES: Final = 32 * 1024
"""A longer head of a response is an error."""
BODY_BYTES: Final = 64 * 1024
"""At most this much of a body is read; after a longer one the connection is closed."""
_CHUNK: Final = 16 * 1024
_DIGITS: Final = 9
"""A longer number in a response is invalid."""
_HEAD_ENDS: Final = (b"\n\r\n", b"\n\n")
"""A line may end without a carriage return (RFC 9112, section 2.2)."""
_NO_BODY: Final = frozenset({204, 304})


class Response(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """Its first `BODY_BYTES`; empty where it cannot be read to its end, since the status is enough."""
    is_last: bool
    """Whether the connection cannot be used for another request."""


def left(deadline: float) -> float:
    """Returns the seconds until a moment of `time.monotonic`.

    Raises:
        TimeoutError: It has passed.
    """
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError("no answer in time")
    return seconds


def read_response(connection: socket.socket, deadline: float) -> Response:
    """Reads the next response.

    Raises:
        OSError: It has no status in time, or is not HTTP.
    """
    stream = _Stream(connection, deadline)
    while True:
        status, headers = _parse_head(stream.until(*_HEAD_ENDS))
        if status >= 200:  # an informational response precedes the final one
            break
    try:
        body, is_whole = _body(stream, status, headers)
    except OSError:
        return Response(status, headers, b"", is_last=True)
    # What came after the response would be read as the next one.
    is_last = not is_whole or bool(stream.received) or headers.get("connection", "").lower() == "close"
    return Response(status, headers, body, is_last)


def read_status(connection: socket.socket, deadline: float) -> int:
    """Reads the head of a response without a body, as a proxy answers CONNECT; returns its status.

    Raises:
        OSError: It has no status in time, or is not HTTP.
    """
    return _parse_head(_Stream(connection, deadline).until(*_HEAD_ENDS))[0]


class _Stream:
    """The bytes of a connection, received as they are needed."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self.received = b""

    def more(self) -> bool:
        """Receives something; False at the end of the connection."""
        self._connection.settimeout(left(self._deadline))
        chunk = self._connection.recv(_CHUNK)
        self.received += chunk
        return bool(chunk)

    def until(self, *marks: bytes) -> bytes:
        """Takes what precedes the first of these marks, and the mark."""
        while not (found := [mark for mark in marks if mark in self.received]):
            if len(self.received) > HEAD_BYTES:
                raise ConnectionError("the head of the answer does not end")
            self._need_more()
        taken, _, self.received = self.received.partition(min(found, key=self.received.index))
        return taken

    def take(self, count: int) -> bytes:
        """Takes so many bytes."""
        while len(self.received) < count:
            self._need_more()
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _need_more(self) -> None:
        if not self.more():
            raise ConnectionError("the connection was closed before the answer")


def _body(stream: _Stream, status: int, headers: dict[str, str]) -> tuple[bytes, bool]:
    """The body, and whether it was read to an end that the response itself marks."""
    if status in _NO_BODY:
        return b"", True
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked(stream)
    text = headers.get("content-length", "")
    if text.isdecimal() and len(text) <= _DIGITS:
        length = int(text)
        return stream.take(min(length, BODY_BYTES)), length <= BODY_BYTES
    while len(stream.received) < BODY_BYTES and stream.more():
        pass
    return stream.received[:BODY_BYTES], False


def _chunked(stream: _Stream) -> tuple[bytes, bool]:
    body = b""
    while len(body) < BODY_BYTES:
        text = stream.until(b"\n").partition(b";")[0].strip()
        try:
            length = int(text, 16) if len(text) <= _DIGITS else -1
        except ValueError:
            length = -1
        if length < 0:
            raise ConnectionError("the answer is not HTTP")
        if length == 0:
            while stream.until(b"\n").strip():  # trailers
                pass
            return body, True
        body += stream.take(min(length, BODY_BYTES))
        if length > BODY_BYTES:
            break
        stream.until(b"\n")
    return body[:BODY_BYTES], False


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\n")
    words = first.split(None, 2)
    is_status = len(words) >= 2 and len(words[1]) == 3 and words[1].isascii() and words[1].isdecimal()
    if not is_status or not words[0].startswith("HTTP/1."):
        raise ConnectionError("the answer is not HTTP")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
