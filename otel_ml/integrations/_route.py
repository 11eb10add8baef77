"""The route template of a request, and FastAPI's own telemetry, which knows it best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from importlib import import_module
from typing import Any, Final

from fastapi import routing
from opentelemetry import metrics
from starlette.routing import Mount

from otel_ml.integrations._request import Scope

RouteNote: Any
try:
    # FastAPI >= 0.142 writes the template of the selected route into this object, mounts and prefixes included, and a
    # mounted FastAPI that finds it in the scope makes no server span of its own. The name is private: a test holds it.
    RouteNote = import_module("fastapi.telemetry._api")._RequestTelemetry  # noqa: SLF001
except (ImportError, AttributeError):
    RouteNote = None

_flat: Callable[[Iterable[Any]], Iterable[Any]] = getattr(routing, "iter_route_contexts", iter)
"""FastAPI < 0.137.2 keeps a flat list of routes."""

_NOTE_KEY: Final = "fastapi.telemetry"
_TRACING: Final = "tracing"
_METRICS: Final = "metrics"


class Native:
    """FastAPI's own telemetry of one application, which can be told to stand back.

    After construction there is no public switch; ``app._telemetry`` is the mapping that it reads at every request.
    """

    def __init__(self, app: object) -> None:
        config = getattr(app, "_telemetry", None)
        usable = isinstance(config, MutableMapping) and _TRACING in config and _METRICS in config
        self._config: MutableMapping[str, Any] | None = config if usable else None
        self._before: dict[str, Any] | None = None

    def stand_back(self) -> None:
        """Turns its spans and metrics off; its log events stay."""
        if self._config is not None and self._before is None:
            self._before = {key: self._config[key] for key in (_TRACING, _METRICS)}
            self._config.update({_TRACING: False, _METRICS: False})

    def restore(self) -> None:
        """Gives back the settings that `stand_back` found."""
        if self._config is not None and self._before is not None:
            self._config.update(self._before)
            self._before = None

    def has_metrics(self, scope: Scope) -> bool:
        """Whether it measures this request, so that ours must not."""
        if self._config is None or scope.get(_NOTE_KEY) is None or not self._config[_METRICS]:
            return False
        provider = self._config.get("meter_provider") or metrics.get_meter_provider()
        return "Proxy" not in type(provider).__name__


def has_native_span(scope: Scope) -> bool:
    """Whether FastAPI's own telemetry made a server span for this request."""
    return getattr(scope.get(_NOTE_KEY), "span", None) is not None


def leave_note(scope: Scope, method: str) -> Any:
    """Puts the object into the scope in which FastAPI notes the route; None when there is one or no such thing."""
    if RouteNote is None or _NOTE_KEY in scope:
        return None
    root = scope.get("app_root_path", scope.get("root_path", "")).rstrip("/")
    note = RouteNote(span=None, span_method=method, data=None, _mount_prefix=root)
    scope[_NOTE_KEY] = note
    return note


def take_note(scope: Scope, note: Any) -> None:
    """Takes our object out of the scope again."""
    if note is None:
        return
    if scope.get(_NOTE_KEY) is note:
        del scope[_NOTE_KEY]
    note._exceptions.clear()  # noqa: SLF001  (they would hold the request's frames)


def route_of(scope: Scope, note: Any, root: str, routes: Iterable[Any]) -> str | None:
    """The template of the route that served a request, with mounts and prefixes; None when no route did.

    Args:
        scope: The scope after the application has run.
        note: What `leave_note` gave.
        root: The root path before the application ran.
        routes: The application's routes, where mounts are looked up.
    """
    noted = getattr(note if note is not None else scope.get(_NOTE_KEY), "route", None)
    if isinstance(noted, str):
        return noted
    return _route_in_scope(scope, root, routes)


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
