"""HTTP/1.1 POST requests over one kept connection, each with a hard deadline; sockets and nothing else."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from otel_ml._export.http_response import Response, left, read_response, read_status
from otel_ml._export.name_lookup import NameLookup, Resolve
from otel_ml._export.proxies import Proxy, ProxyError, ca_bundle

if TYPE_CHECKING:
    import ssl

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL_SIGNS: Final = "!#$%&'()*+,/:;=?@[]~"
"""What may be in a path and query as it is, next to letters, digits, and `_.-`."""


class HttpClient:
    """Posts to one address, through a proxy if one is given. It follows no redirects.

    One thread at a time posts; any other may call `close`.

    Args:
        url: Where to; ``http`` or ``https``.
        headers: Sent with every request.
        make_tls: Gives the context of each connection for ``https``; by default that of the system.
        resolve: `socket.getaddrinfo`, or a function like it.
        proxy: Opens a tunnel for ``https``; for ``http`` it gets the request with the whole URL.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        make_tls: Callable[[], ssl.SSLContext] | None = None,
        *,
        resolve: Resolve = socket.getaddrinfo,
        proxy: Proxy | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "localhost"
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._make_tls = (make_tls or default_tls) if parts.scheme == "https" else None
        self._resolve = resolve
        self._lookup: NameLookup | None = None
        path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_URL_SIGNS)
        host = f"[{self._host}]" if ":" in self._host else _ascii_name(self._host)
        port = "" if self._port == _DEFAULT_PORTS[parts.scheme] else f":{self._port}"
        self._peer = (self._host, self._port) if proxy is None else (proxy.host, proxy.port)
        self._tunnel = b""
        authority, target = f"{host}:{self._port}", path
        if proxy is not None:
            authorization = {} if proxy.authorization is None else {"Proxy-Authorization": proxy.authorization}
            if self._make_tls is None:
                target, headers = f"http://{host}{port}{path}", {**headers, **authorization}
            else:
                self._tunnel = (
                    _head(f"CONNECT {authority} HTTP/1.1", {"Host": authority, **authorization}) + b"\r\n\r\n"
                )
        self._head = _head(f"POST {target} HTTP/1.1", {"Host": f"{host}{port}", **headers})
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        """Held where the connection is shut down or closed: a descriptor that was reused must not be shut down."""
        self._is_posting = False
        self._is_cut = False

    def post(self, body: bytes, timeout: float) -> Response:
        """Sends one request and reads its answer, all within ``timeout`` seconds.

        If a kept connection turns out to be broken, the request is sent once more on a new one.

        Raises:
            OSError: There was no answer in time, or none that is HTTP.
        """
        deadline = monotonic() + timeout
        with self._lock:
            self._is_posting, self._is_cut = True, False
        try:
            return self._post(body, deadline)
        except BaseException:  # an answer that comes later must not be read as that of the next request
            self._close()
            raise
        finally:
            self._is_posting = False
            if self._is_cut:
                self._close()

    def close(self) -> None:
        """Closes the connection and ends a request in flight; the next request opens another connection."""
        self._is_cut = True
        with self._lock:
            if self._socket is None:
                return
            with suppress(OSError, AttributeError):  # AttributeError: gevent has replaced the class since
                # `SSLSocket.shutdown` would let the posting thread continue without encryption for a moment.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            if not self._is_posting:  # else the posting thread closes it: it may still read from the descriptor
                self._close_now()

    def abandon(self) -> None:
        """In a forked child: closes this process's descriptor of a connection that is still the parent's."""
        self._lock = threading.Lock()
        self._is_posting = False
        self._lookup = None
        self._close()

    def _close(self) -> None:
        with self._lock:
            self._close_now()

    def _close_now(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _post(self, body: bytes, deadline: float) -> Response:
        is_kept = self._is_alive()
        try:
            return self._exchange(body, deadline)
        except OSError as error:
            self._close()
            if not is_kept or self._is_cut or isinstance(error, TimeoutError):
                raise
        return self._exchange(body, deadline)

    def _is_alive(self) -> bool:
        """Whether a kept connection can take the next request; forgets it otherwise."""
        connection = self._socket
        if connection is None:
            return False
        try:
            connection.settimeout(0)
            connection.recv(1)
        except OSError as error:
            if self._has_nothing_to_read(error):
                return True
        self._close()
        return False

    def _has_nothing_to_read(self, error: OSError) -> bool:
        if self._make_tls is None:
            return isinstance(error, BlockingIOError)
        import ssl

        return isinstance(error, ssl.SSLWantReadError)

    def _exchange(self, body: bytes, deadline: float) -> Response:
        connection = self._socket or self._connect(deadline)
        is_sent = True
        try:
            for data in (self._head + b"\r\nContent-Length: %d\r\n\r\n" % len(body), body):
                _send(connection, data, deadline)
        except (BrokenPipeError, ConnectionResetError):  # the receiver may have answered before it closed
            is_sent = False
        response = read_response(connection, deadline)
        if response.is_last or not is_sent:
            self._close()
        return response

    def _connect(self, deadline: float) -> socket.socket:
        connection = self._open(deadline)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tunnel:
            _send(connection, self._tunnel, deadline)
            status = read_status(connection, deadline)
            if not 200 <= status < 300:
                raise ProxyError(errno.ECONNREFUSED, f"the proxy answers HTTP {status}")
        if self._make_tls is not None:
            context = self._make_tls()
            secured = context.wrap_socket(
                connection, server_hostname=self._host.rstrip("."), do_handshake_on_connect=False
            )
            self._socket = connection = secured
            self._check_cut()
            secured.settimeout(left(deadline))
            secured.do_handshake()
        return connection

    def _open(self, deadline: float) -> socket.socket:
        """Connects to the first address that accepts; each has its share of the time that is left."""
        error = OSError(errno.EADDRNOTAVAIL, f"{self._peer[0]!r} has no address")
        addresses = self._addresses(deadline)
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            share = left(deadline) / (len(addresses) - tried)
            try:
                self._socket = connection = socket.socket(family, kind, protocol)
                self._check_cut()
                connection.settimeout(share)
                connection.connect(address)
            except OSError as refused:
                self._close()
                error = refused
                if self._is_cut:
                    break
            else:
                return connection
        raise error

    def _addresses(self, deadline: float) -> list[tuple[Any, ...]]:
        lookup = self._lookup
        if lookup is None or lookup.is_answered:  # one that still runs is waited for again
            lookup = self._lookup = NameLookup(self._resolve, *self._peer)
        return lookup.wait(left(deadline))

    def _check_cut(self) -> None:
        if self._is_cut:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the request was cut")


def default_tls() -> ssl.SSLContext:
    """The context of the system's certificate authorities."""
    return make_tls(None, None, None)


def make_tls(authority: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Reads certificates again for each connection, so that renewed files are used.

    Args:
        authority: A file of certificate authorities; None for those of `ca_bundle`, or else of the system.
        certificate: A file of the client's certificate, if it has one.
        key: A file of its key, if that is not in the certificate's.

    Raises:
        OSError: A file cannot be used.
    """
    import ssl

    authority = authority or ca_bundle()
    if authority is not None and Path(authority).is_dir():
        context = ssl.create_default_context(capath=authority)
    else:
        context = ssl.create_default_context(cafile=authority)
    context.hostname_checks_common_name = False  # as browsers: only the subject's alternative names count
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate, key, password="")  # else a terminal would be asked for one
    return context


def _head(first: str, headers: Mapping[str, str]) -> bytes:
    lines = [first, *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _ascii_name(host: str) -> str:
    """Returns an international host name as the Host header carries it."""
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:  # the name lookup reports it
        return host


def _send(connection: socket.socket, data: bytes, deadline: float) -> None:
    """Sends all of it; `sendall` would allow the whole time for each TLS record."""
    unsent = memoryview(data)
    while unsent:
        connection.settimeout(left(deadline))
        unsent = unsent[connection.send(unsent) :]
