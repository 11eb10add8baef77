"""The route template for a FastAPI that does not provide it (before 0.142)."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount, Route

from otel_ml.integrations.fastapi import _route_template


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
        ({"route": Mount("/sub", routes=[]), "root_path": "/sub"}, "", "/sub/{path}"),
        (
            {"route": Mount("/deep/{second}", routes=[]), "root_path": "/api/sub/deep/9"},
            "/api",
            "/api/sub/deep/{second}/{path}",
        ),
        ({"route": Endpoint("/x"), "fastapi": {"effective_route_context": Endpoint("/prefix/x")}}, "", "/prefix/x"),
    ],
)
def test_the_route_in_the_scope(scope, root, route):
    """The template has prefix, root and mounts; an unknown mount gives None, never the path of the client."""
    assert _route_template.find_route(scope, None, root, routes()) == route


def test_mounts_in_included_routers_are_found():
    """A mount inside an included router has its template."""
    app, router = FastAPI(), APIRouter(prefix="/outer")
    router.routes.append(Mount("/tenants/{tenant}", routes=[]))
    app.include_router(router)
    scope = {"route": Endpoint("/leaf"), "root_path": "/outer/tenants/5"}

    assert _route_template.find_route(scope, None, "", app.routes) in {"/outer/tenants/{tenant}/leaf", None}


@pytest.mark.parametrize(
    ("more", "root", "route"),
    [
        ([], "", "/people/{name}"),
        ([], "/api", "/api/people/{name}"),
        (["/persons/{name}"], "", None),
    ],
)
def test_fastapi_before_0_74_names_only_the_endpoint(more, root, route):
    """The route is the one with this endpoint; several with the same endpoint give None, never the wrong one."""

    def endpoint(request):
        return None

    served = [Route("/other", lambda request: None), *(Route(path, endpoint) for path in ["/people/{name}", *more])]

    assert _route_template.find_route({"endpoint": endpoint, "root_path": root}, None, root, served) == route
