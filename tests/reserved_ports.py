"""Ports for servers that tests start: nobody else gets one between its choice and the start of its server."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque

_MOST = 200
_held: deque[int] = deque()
"""Descriptors of sockets; the end of the process closes them."""


def free_port() -> int:
    """Returns a port without a server.

    A socket that does not listen stays bound to it. So no process gets it that asks for any port, or connects
    from any port; but a server that sets SO_REUSEADDR, as servers do, can listen. Until then connections are refused.
    """
    return _reserve(0)


def free_ports(count: int) -> list[int]:
    """Returns different ports without servers."""
    return [free_port() for _ in range(count)]


def free_port_before_another() -> int:
    """Returns a port without a server; the next one has none either."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError, OverflowError):
            return _reserve(port + 1) - 1


def _reserve(port: int) -> int:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        port = int(holder.getsockname()[1])
        _held.append(holder.detach())
    if len(_held) > _MOST:
        os.close(_held.popleft())
    return port
