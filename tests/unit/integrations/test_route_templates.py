"""The route template where FastAPI does not note it (before 0.142)."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount, Route

from otel_ml.integrations.fastapi import _route


class Endpoint:
    def __init__(self, path_format):
        self.path_format = path_format


def routes():
    inner = [Route("/leaf", lambda request: None), Mount("/deep/{second}", routes=[])]
    return [
        Route("/other", lambda request: None),
        Mount("/sub", routes=inner),
        Mount("/tenants/{tenant:int}", routes=[]),
    ]


@pytest.mark.parametrize(
    ("scope", "root", "route"),
    [
        ({}, "", None),
        ({"route": object()}, "", None),
        ({"route": Endpoint("/leaf/{leaf}")}, "", "/leaf/{leaf}"),
        ({"route": Endpoint("/leaf"), "root_path": "/api"}, "/api", "/api/leaf"),
        ({"route": Endpoint("/leaf"), "root_path": "/sub"}, "", "/sub/leaf"),
        ({"route": Endpoint("/leaf"), "root_path": "/api/sub"}, "/api", "/api/sub/leaf"),
        ({"route": Endpoint("/leaf"), "root_path": "/tenants/007"}, "", "/tenants/{tenant}/leaf"),
        ({"route": Endpoint("/leaf"), "root_path": "/sub/deep/9"}, "", "/sub/deep/{second}/leaf"),
        ({"route": Endpoint("/leaf"), "root_path": "/unknown/9"}, "", None),
        ({"route": Endpoint("/x"), "fastapi": {"effective_route_context": Endpoint("/prefix/x")}}, "", "/prefix/x"),
    ],
)
def test_the_route_in_the_scope(scope, root, route):
    """Prefix, root and mounts make the template; a mount that is not found makes none, never a client's path."""
    assert _route.route_of(scope, None, root, routes()) == route


def test_mounts_in_included_routers_are_found():
    """A mount inside an included router has its template."""
    app, router = FastAPI(), APIRouter(prefix="/outer")
    router.routes.append(Mount("/tenants/{tenant}", routes=[]))
    app.include_router(router)
    scope = {"route": Endpoint("/leaf"), "root_path": "/outer/tenants/5"}

    assert _route.route_of(scope, None, "", app.routes) in {"/outer/tenants/{tenant}/leaf", None}


def test_an_application_without_native_telemetry_has_nothing_to_stand_back():
    """On an older FastAPI the switch does nothing."""
    native = _route.Native(object())
    native.stand_back()
    native.restore()

    assert native.has_metrics({"fastapi.telemetry": object()}) is False
