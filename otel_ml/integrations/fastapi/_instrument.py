"""FastAPI: one server span for each request, the stable HTTP metrics, and the prediction id in the response."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from starlette.middleware.errors import ServerErrorMiddleware

from otel_ml import _guard
from otel_ml.config import ConfigError
from otel_ml.integrations.fastapi._attributes import Scope
from otel_ml.integrations.fastapi._exchange import Receive, Send
from otel_ml.integrations.fastapi._flush import flush_in_force
from otel_ml.integrations.fastapi._middleware import App, ServerLayer, follow_mode, is_contrib, layers
from otel_ml.integrations.fastapi._mode_binding import ModeBinding
from otel_ml.integrations.fastapi._native_telemetry import NativeSwitch
from otel_ml.integrations.fastapi._settings import HEALTH_PATHS, LayerSettings, ServerSpan, excluded_urls
from otel_ml.semconv.standard_environment import REQUESTS_WITHOUT_EFFECT

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_UNDO: Final = "_otel_ml_undo"
_CONTRIB: Final = "_is_instrumented_by_opentelemetry"
"""Set by `opentelemetry-instrumentation-fastapi`."""
_BUILD: Final = "build_middleware_stack"


class _Outermost(ServerErrorMiddleware):
    """The top of the stack: our layer around everything, also around the response to an unhandled exception.

    `opentelemetry-instrumentation-fastapi` rebuilds a stack only if its top is a `ServerErrorMiddleware`, and continues
    with its ``app``. This class has no behaviour of its own.
    """

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        return self.app(scope, receive, send)


def instrument_fastapi(  # noqa: PLR0913  (all but the application are keywords)
    app: FastAPI,
    *,
    excluded_paths: Collection[str] = HEALTH_PATHS,
    trust_remote_context: bool = True,
    allowed_baggage: Collection[str] = (),
    server_span: ServerSpan | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    flush: Callable[[], object] | None = None,
) -> Callable[[], None]:
    """Observes every HTTP request of an application.

    Emits one span of kind SERVER named ``{method} {route}``, `http.server.request.duration` (s) and
    `http.server.active_requests`, and adds the response header ``x-prediction-id``: the first prediction that the
    request made before its response began, or the first tracked stream that it opened. If other instrumentation
    already creates the server span (FastAPI's own in guest mode, or `opentelemetry-instrumentation-fastapi`), that span
    is used and only the header is added. WebSockets have no span. An unhandled error is one log record on the trace of
    its request: FastAPI logs it from 0.142 on, we do for older ones and for Starlette. Telemetry is flushed at the end
    of the ASGI lifespan, because a server that is stopped by a signal ends without running exit handlers.

    Can be called at any time, also after the first request; a second call changes nothing.

    Args:
        app: The application, of FastAPI or Starlette. Routes, routers, mounts and middleware may be added later.
        excluded_paths: Exact paths that are not observed; by default the usual health checks. Neither are URLs in which
            a pattern of ``OTEL_PYTHON_FASTAPI_EXCLUDED_URLS`` or ``OTEL_PYTHON_EXCLUDED_URLS`` is found.
        trust_remote_context: Whether a caller's ``traceparent`` becomes the parent. If not, it is linked.
        allowed_baggage: Names of baggage entries that are accepted from a caller; others are dropped.
        server_span: Creates the server span instead of the tracer.
        tracer_provider: Replaces the provider of the mode in force.
        meter_provider: Replaces the provider of the mode in force.
        flush: Called at the end of the lifespan instead of the flush of the mode in force.

    Returns:
        A function that removes the instrumentation.

    Raises:
        ConfigError: ``app`` is not a FastAPI application, or a variable has a malformed pattern.
    """
    known: Callable[[], None] | None = getattr(app, _UNDO, None)
    if known is not None:
        return known
    if not callable(getattr(app, _BUILD, None)):
        raise ConfigError(f"instrument_fastapi takes a FastAPI application, not {type(app).__name__}")
    settings = LayerSettings(
        binding=ModeBinding(tracer_provider, meter_provider),
        native_switch=NativeSwitch(app),
        routes=lambda: app.routes,
        excluded_paths=frozenset(excluded_paths),
        excluded_urls=excluded_urls(),
        trust_remote_context=trust_remote_context,
        allowed_baggage=frozenset(allowed_baggage),
        server_span=server_span,
        flush=flush or flush_in_force,
    )
    _warn_of_variables(app)
    undo = _install(app, settings)
    setattr(app, _UNDO, undo)
    return undo


def _warn_of_variables(app: FastAPI) -> None:
    """Logs one line if variables are set that only other instrumentation of the application would honour."""
    names = [name for name in REQUESTS_WITHOUT_EFFECT if os.environ.get(name, "").strip()]
    if names and not getattr(app, _CONTRIB, False):
        _guard.warn_once(
            "fastapi.variables",
            f"otel-ml: the spans of requests ignore {', '.join(names)}: set attributes such as http.request.header.x "
            "on trace.get_current_span() in a middleware",
        )


def _install(app: FastAPI, settings: LayerSettings) -> Callable[[], None]:
    # not `add_middleware`: it raises after the first request, and later middleware would be outside of it
    build: Callable[[], App] = app.build_middleware_stack
    shadowed = vars(app).get(_BUILD)

    def build_observed() -> App:
        return _around(build(), settings)

    def undo() -> None:
        settings.active = False
        settings.native_switch.restore()
        if getattr(app, _UNDO, None) is undo:
            delattr(app, _UNDO)
        _restore_build(app, build_observed, shadowed)
        if app.middleware_stack is not None:
            app.middleware_stack = _without(app.middleware_stack, settings)

    app.build_middleware_stack = build_observed  # type: ignore[method-assign]
    if app.middleware_stack is not None:
        app.middleware_stack = _around(app.middleware_stack, settings)
    _guard.call("fastapi.mode", follow_mode, settings)
    return undo


def _around(stack: App, settings: LayerSettings) -> App:
    for layer in layers(stack):
        if is_contrib(layer):
            # it starts a new context, which would hide ours from the application
            observed: Any = layer
            observed.app = ServerLayer(observed.app, settings)
            return stack
    return _Outermost(ServerLayer(stack, settings))


def _without(stack: App, settings: LayerSettings) -> App:
    for layer in list(layers(stack)):
        below: Any = getattr(layer, "app", None)
        if isinstance(below, ServerLayer) and below.has_settings(settings):
            if isinstance(layer, _Outermost):
                return below.app
            above: Any = layer
            above.app = below.app
    return stack


def _restore_build(app: FastAPI, ours: Callable[[], App], shadowed: Callable[[], App] | None) -> None:
    if vars(app).get(_BUILD) is not ours:
        return  # other instrumentation has wrapped ours; our layer forwards every call
    if shadowed is None:
        delattr(app, _BUILD)
    else:
        setattr(app, _BUILD, shadowed)
