"""Runs the console: opens file and socket, serves until a signal, flushes and closes."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from typing import TYPE_CHECKING, Any

from otel_ml.console._options import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._ingest_queue import IngestQueue
    from otel_ml.console.receiving._otlp_grpc import GrpcReceiver

_EXTRA = frozenset({"anyio", "duckdb", "google", "grpc", "jinja2", "markupsafe", "starlette", "uvicorn"})
_GRACE_SECONDS = 3
"""Time for open requests when the console ends."""


def serve(options: Options, ready: Callable[[str, str | None], None], tell: Callable[[str], None]) -> bool:
    """Runs the console until SIGTERM or SIGINT, then writes what is queued.

    Args:
        options: The settings.
        ready: Called once with the address of the page and that of OTLP/gRPC, as soon as the console answers.
        tell: Called with what the user should know.

    Returns:
        Whether everything accepted has been written.

    Raises:
        ConsoleError: The extra is missing, or the port or the file is in use.
    """
    try:
        import uvicorn  # noqa: F401 - is it installed?

        from otel_ml.console._app import build
        from otel_ml.console.receiving._ingest_queue import IngestQueue
        from otel_ml.console.storage._store import Database

        receiver = _grpc_receiver() if options.grpc_port is not None else None
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        if isinstance(error, ModuleNotFoundError):
            raise ConsoleError(f"the console needs {error.name}: pip install 'otel-ml[console]'") from error
        reason = str(error).strip().partition("\n")[0]
        raise ConsoleError(f"the console cannot import {name}, which is installed: {reason}") from error
    if options.grpc_port is not None:
        # gRPC would write lines of its own about a port in use
        with _bound(options.host, options.grpc_port, "--grpc-port (or off)"):
            pass
    with _bound(options.host, options.port, "--host or --port") as listening, _on_ipv6_too(listening) as others:
        store = Database.open(options)
        if store.moved_aside:
            tell(f"another version of otel-ml wrote {options.database}, which is now {store.moved_aside}")
        ingest = IngestQueue(store, options)
        ingest.start()
        grpc = None if receiver is None else receiver(ingest, options)
        try:
            grpc_address = None if grpc is None else grpc.start()
            config = configured(build(store, ingest, options), options, _grpc_hint(tell, grpc_address))
            _server(config, lambda: ready(_address(listening), grpc_address))(sockets=[listening, *others])
        finally:
            if grpc is not None:
                grpc.stop()
            is_written = _close(ingest)
            store.close()
    return is_written


def _grpc_receiver() -> type[GrpcReceiver]:
    from otel_ml.console.receiving._otlp_grpc import GrpcReceiver

    return GrpcReceiver


def configured(app: Any, options: Options, by_grpc: Callable[[], None] = lambda: None) -> Any:
    """The settings of the web server, a `uvicorn.Config`; `by_grpc` is called for a sender by gRPC at its port."""
    import uvicorn

    from otel_ml.console._connections import connection_class

    return uvicorn.Config(
        app,
        http=connection_class(options, by_grpc),
        log_config=None,
        log_level="error",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=options.idle_seconds,  # type: ignore[arg-type] # a fraction is fine
        timeout_graceful_shutdown=_GRACE_SECONDS,
        server_header=False,
    )


def _server(config: Any, started: Callable[[], None]) -> Callable[..., None]:
    import uvicorn

    class Server(uvicorn.Server):
        """Reports when it is up; on a signal it returns instead of raising the signal again."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

        def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - the names are uvicorn's
            self.force_exit = self.should_exit
            self.should_exit = True

    return Server(config).run


def _close(ingest: IngestQueue) -> bool:
    is_done = ingest.close()
    return is_done and ingest.status()["dropped"] == 0


@contextlib.contextmanager
def _bound(host: str, port: int, settings: str) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        listening = socket.socket(family, kind)
    except UnicodeError:
        raise ConsoleError(f"--host {host}: not a host name") from None
    except OSError as error:
        raise ConsoleError(f"--host {host}: {error.strerror or error}") from error
    with listening:
        try:
            if os.name == "posix":
                # on Windows it would let a second console take the port of the first one
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(256)
        except OSError as error:
            raise ConsoleError(f"{host}:{port}: {error.strerror or error}; choose another {settings}") from error
        yield listening


@contextlib.contextmanager
def _on_ipv6_too(listening: socket.socket) -> Iterator[list[socket.socket]]:
    """The same port of ::1, where Node.js and Windows look for `localhost` first; none where it cannot be had."""
    host, port = listening.getsockname()[:2]
    other = None
    if host == "127.0.0.1":
        with contextlib.suppress(OSError):
            other = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=256)
    with other or contextlib.nullcontext():
        yield [] if other is None else [other]


def _grpc_hint(tell: Callable[[str], None], grpc_address: str | None) -> Callable[[], None]:
    """What says once that somebody sends gRPC to the port of HTTP; that sender only knows that it has no answer."""
    place = f"; OTLP/gRPC goes to port {grpc_address.rpartition(':')[2]}" if grpc_address else ""

    @functools.cache
    def hint() -> None:
        tell(f"a sender uses gRPC at the port of HTTP, which needs OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf{place}")

    return hint


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
