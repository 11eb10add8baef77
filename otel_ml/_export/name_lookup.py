"""Name lookups with a deadline, which those of the operating system lack."""

from __future__ import annotations

import codecs
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from otel_ml import _process

Resolve: TypeAlias = Callable[..., list[tuple[Any, ...]]]
"""`socket.getaddrinfo`, or a stand-in for it."""

codecs.lookup("idna")
"""The first lookup imports this codec. If the process forked during it, the module's import lock would stay held in the
child forever."""


class NameLookup:
    """One lookup on its own thread, because a lookup cannot be interrupted.

    Args:
        resolve: Looks the name up.
        host: A name or an address.
        port: Of TCP.
    """

    def __init__(self, resolve: Resolve, host: str, port: int) -> None:
        self._resolve = resolve
        self._host = host
        self._port = port
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
        """Whether `wait` returns at once."""
        return self._answered.is_set()

    def wait(self, seconds: float) -> list[tuple[Any, ...]]:
        """Returns the addresses, in the form of `socket.getaddrinfo`.

        Raises:
            OSError: There is none, or no answer in time.
        """
        if not self._answered.wait(seconds):
            raise TimeoutError("the name lookup takes too long")
        if self._error is not None:
            raise self._error
        return self._addresses

    def _run(self) -> None:
        try:
            self._addresses = self._resolve(self._host, self._port, 0, socket.SOCK_STREAM)
        except UnicodeError:
            self._error = OSError(errno.EINVAL, f"{self._host!r} is not a host name")
        except OSError as error:
            self._error = error
        else:
            if not self._addresses:
                self._error = OSError(errno.EADDRNOTAVAIL, f"{self._host!r} has no address")
        finally:
            self._answered.set()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
