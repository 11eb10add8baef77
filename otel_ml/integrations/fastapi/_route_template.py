"""The route template of a request, with mounts and prefixes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from fastapi import routing
from starlette.routing import Mount

from otel_ml.integrations.fastapi._attributes import Scope
from otel_ml.integrations.fastapi._native_telemetry import SCOPE_KEY

BELOW_MOUNT: Final = "/{path}"
"""What a mount's template ends with: any path below it."""
_flat: Callable[[Iterable[Any]], Iterable[Any]] = getattr(routing, "iter_route_contexts", iter)
"""FastAPI < 0.137.2 keeps a flat list of routes."""


def find_route(scope: Scope, native: Any, root: str, routes: Iterable[Any]) -> str | None:
    """The template of the route that served a request, with mounts and prefixes; None if no route did.

    Args:
        scope: The scope after the application has run.
        native: The object that `_native_telemetry.attach` returned.
        root: The root path before the application ran.
        routes: The application's routes, to find mounts.
    """
    known = getattr(native if native is not None else scope.get(SCOPE_KEY), "route", None)
    if not isinstance(known, str):
        return _route_in_scope(scope, root, routes)
    # FastAPI does not see the routes of a Starlette application that is mounted
    return (_route_in_scope(scope, root, routes) or known) if known.endswith(BELOW_MOUNT) else known


def _route_in_scope(scope: Scope, root: str, routes: Iterable[Any]) -> str | None:
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    path = getattr(context, "path_format", None) or getattr(scope.get("route"), "path_format", None)
    if path is None and "route" not in scope:
        path = _path_of_endpoint(scope.get("endpoint"), routes)
    if not isinstance(path, str):
        return None
    if isinstance(scope.get("route"), Mount):
        path = BELOW_MOUNT  # the root path has the mount already
    mounted = scope.get("root_path", "")[len(root.rstrip("/")) :]
    if not mounted:
        return root.rstrip("/") + path
    # the root path of a mount is what the client sent, such as `/tenants/42`, not the template
    template = _mount_template(routes, mounted)
    return None if template is None else root.rstrip("/") + template + path


def _path_of_endpoint(endpoint: Any, routes: Iterable[Any]) -> str | None:
    """The path of the only route with this endpoint: FastAPI < 0.74 does not put the route into the scope."""
    if endpoint is None:
        return None
    paths = {route.path_format for route in routes if getattr(route, "endpoint", None) is endpoint}
    return paths.pop() if len(paths) == 1 else None


def _mount_template(routes: Iterable[Any], mounted: str) -> str | None:
    for route in _flat(routes):
        mount = getattr(route, "original_route", route)
        regex = getattr(route, "path_regex", None) if isinstance(mount, Mount) else None
        match = regex.match(mounted.rstrip("/") + "/") if regex is not None else None
        if match is None:
            continue
        here: str = route.path_format.removesuffix(BELOW_MOUNT)
        rest = match.group("path").rstrip("/")
        below = _mount_template(mount.routes, "/" + rest) if rest else ""
        if below is not None:
            return here + below
    return None
