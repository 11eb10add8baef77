"""The route template of a request, and FastAPI's own telemetry, which knows it best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from importlib import import_module
from typing import Any, Final

import fastapi
from fastapi import routing
from opentelemetry import _logs, metrics
from starlette.routing import Mount

from otel_ml.integrations.fastapi._attributes import Scope

RouteNote: Any
try:
    # FastAPI >= 0.142 writes the template of the selected route into this object, mounts and prefixes included, and a
    # mounted FastAPI that finds it in the scope makes no span of its own. The names are private: a test holds them.
    _api, _asgi = import_module("fastapi.telemetry._api"), import_module("fastapi.telemetry._asgi")
    RouteNote = _api._RequestTelemetry  # noqa: SLF001
    CONTEXT_KEY: str = _api._REQUEST_TELEMETRY_KEY  # noqa: SLF001
    """Where FastAPI looks for the note in the OTel context."""
    _note_exception: Callable[..., None] | None = _asgi._exception  # noqa: SLF001
    _Data: Any = _api.TelemetryData
except (ImportError, AttributeError):
    RouteNote, CONTEXT_KEY, _note_exception, _Data = None, "", None, None

_flat: Callable[[Iterable[Any]], Iterable[Any]] = getattr(routing, "iter_route_contexts", iter)
"""FastAPI < 0.137.2 keeps a flat list of routes."""

NOTE_KEY: Final = "fastapi.telemetry"
"""Where FastAPI looks for the note in the scope."""
_TRACING: Final = "tracing"
_METRICS: Final = "metrics"
_LOGS: Final = "logs"


def _note_kind() -> Any:
    """A kind of `RouteNote` that costs nothing to make: what is as it mostly is stands in the class."""

    def exceptions(note: Any) -> list[BaseException]:
        if note.raised is None:
            note.raised = []
        kept: list[BaseException] = note.raised
        return kept

    absent = dict.fromkeys(("span", "tracer", "route", "status_code", "data", "logger", "raised"))
    common = {**absent, "span_method": "", "_mount_prefix": "", "__init__": lambda _note: None}
    return type("Note", (RouteNote or object,), {**common, "_exceptions": property(exceptions)})


Note: Any = _note_kind()
"""What we put into the scope. Where FastAPI has no notes it is only a place for a route that nobody writes."""


class Native:
    """FastAPI's own telemetry of one application, which can be told to stand back.

    After construction there is no public switch; ``app._telemetry`` is the mapping that it reads at every request.

    Attributes:
        logger: Where FastAPI's log events about a request go while it stands back; None if it was to send none.
        exclude: The service's choice of requests that are not to be logged; None if it has made none.
    """

    def __init__(self, app: object) -> None:
        config = getattr(app, "_telemetry", None)
        usable = isinstance(config, MutableMapping) and _TRACING in config and _METRICS in config
        self._config: MutableMapping[str, Any] | None = config if usable else None
        self._before: dict[str, Any] | None = None
        self.logger: Any = None
        self.exclude: Callable[[Scope], bool] | None = None

    def stand_back(self) -> None:
        """Turns its spans and metrics off. Its log events stay, but it is us who give it what it needs for them.

        Left to itself it wraps every request once more for them, which costs more than all that we do.
        """
        if self._config is None or self._before is not None:
            return
        self._before = {key: self._config[key] for key in (_TRACING, _METRICS)}
        self._config.update({_TRACING: False, _METRICS: False})
        if RouteNote is not None and self._config.get(_LOGS):
            self._before[_LOGS] = self._config[_LOGS]
            self._config[_LOGS] = False
            self.logger = _logger(self._config.get("logger_provider"))
            self.exclude = self._config.get("exclude")

    def restore(self) -> None:
        """Gives back the settings that `stand_back` found."""
        if self._config is not None and self._before is not None:
            self._config.update(self._before)
            self._before = self.logger = None

    def logger_for(self, scope: Scope) -> Any:
        """The logger for FastAPI's events about one request or connection; None if there are to be none."""
        return None if self.exclude is not None and self.exclude(scope) else self.logger

    def has_metrics(self, scope: Scope) -> bool:
        """Whether it measures this request, so that ours must not."""
        if self._config is None or scope.get(NOTE_KEY) is None or not self._config[_METRICS]:
            return False
        provider = self._config.get("meter_provider") or metrics.get_meter_provider()
        return "Proxy" not in type(provider).__name__


def has_native_span(scope: Scope) -> bool:
    """Whether FastAPI's own telemetry made a server span for this request."""
    return getattr(scope.get(NOTE_KEY), "span", None) is not None


def leave_note(scope: Scope, logger: Any = None) -> Any:
    """Puts the object into the scope in which FastAPI notes the route; None when there is one or no such thing.

    Args:
        scope: The scope of a request or connection.
        logger: Where FastAPI's events about failed validation and exceptions go.
    """
    return None if NOTE_KEY in scope else leave(Note(), scope, logger)


def leave(note: Any, scope: Scope, logger: Any) -> Any:
    """Puts this `Note` into the scope; gives it back, or None if FastAPI has no such thing."""
    if RouteNote is None:
        return None
    root = scope.get("app_root_path", scope.get("root_path"))
    if root:
        note._mount_prefix = root.rstrip("/")  # noqa: SLF001
    if logger is not None:
        note.logger = logger
        note.data = _Data.__new__(
            _Data
        )  # its defaults are attributes of the class, and to set them costs five times that
    scope[NOTE_KEY] = note
    return note


def note_exception(scope: Scope, note: Any, error: BaseException) -> None:
    """Has FastAPI log an exception that it has not logged yet, as its own telemetry would."""
    if note is not None and note.logger is not None and _note_exception is not None:
        _note_exception(scope=scope, exc=error)


def take_note(scope: Scope, note: Any) -> None:
    """Takes our object out of the scope again."""
    if note is None:
        return
    if scope.get(NOTE_KEY) is note:
        del scope[NOTE_KEY]
    # Both would hold what the request held, and nobody may read them any more.
    note.data = note.raised = None


def route_of(scope: Scope, note: Any, root: str, routes: Iterable[Any]) -> str | None:
    """The template of the route that served a request, with mounts and prefixes; None when no route did.

    Args:
        scope: The scope after the application has run.
        note: What `leave_note` gave.
        root: The root path before the application ran.
        routes: The application's routes, where mounts are looked up.
    """
    noted = getattr(note if note is not None else scope.get(NOTE_KEY), "route", None)
    if isinstance(noted, str):
        return noted
    return _route_in_scope(scope, root, routes)


def _logger(given: Any) -> Any:
    """FastAPI's logger, unless nobody would hear it."""
    provider = given if given is not None else _logs.get_logger_provider()
    if isinstance(provider, _logs.NoOpLoggerProvider) or (given is None and "Proxy" in type(provider).__name__):
        return None
    return _logs.get_logger("fastapi", fastapi.__version__, provider, schema_url=getattr(_asgi, "_SCHEMA_URL", None))


def _route_in_scope(scope: Scope, root: str, routes: Iterable[Any]) -> str | None:
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    path = getattr(context, "path_format", None) or getattr(scope.get("route"), "path_format", None)
    if not isinstance(path, str):
        return None
    mounted = scope.get("root_path", "")[len(root.rstrip("/")) :]
    if not mounted:
        return root.rstrip("/") + path
    # The root path of a mount holds what the client sent, not the template: `/tenants/42`.
    template = _mount_template(routes, mounted)
    return None if template is None else root.rstrip("/") + template + path


def _mount_template(routes: Iterable[Any], mounted: str) -> str | None:
    for route in _flat(routes):
        mount = getattr(route, "original_route", route)
        regex = getattr(route, "path_regex", None) if isinstance(mount, Mount) else None
        match = regex.match(mounted.rstrip("/") + "/") if regex is not None else None
        if match is None:
            continue
        here: str = route.path_format.removesuffix("/{path}")
        rest = match.group("path").rstrip("/")
        below = _mount_template(mount.routes, "/" + rest) if rest else ""
        if below is not None:
            return here + below
    return None
