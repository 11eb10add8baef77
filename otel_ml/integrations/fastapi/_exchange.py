"""One request and its response as they pass through the layer, and their span and metrics on the general path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode

from otel_ml import _guard, semconv
from otel_ml._exceptions import exception_type
from otel_ml._telemetry.requests.cells import RequestKey
from otel_ml.integrations.fastapi import _native_telemetry, _route_template
from otel_ml.integrations.fastapi._attributes import Attributes, Scope
from otel_ml.integrations.fastapi._request_metrics import RequestMetrics
from otel_ml.prediction import RequestPredictions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Channel = tuple[Scope, Receive, Send]
"""The arguments of an ASGI application."""
Routes = Callable[[], Any]
"""Returns the application's routes, to find mounts."""

_HEADER_NAME: Final = semconv.PREDICTION_ID_HEADER.encode("ascii")
_NAME_LENGTH: Final = len(_HEADER_NAME)
_GENERATED_LENGTH: Final = 32
_HEADER_VALUE: Final = re.compile(r"[!-~]{1,256}")


class RequestState(RequestPredictions):
    """The predictions of one request, and the server span that we made for it."""

    def __init__(self) -> None:
        super().__init__()
        self.span: Span | None = None


class Exchange:
    """One request and its response. This class adds only the id header, for requests with another server span."""

    native: Any = None
    """The object that `_native_telemetry.attach` returned."""
    code: int | None = None
    """The status code of the response."""
    _is_open = False
    """Whether the request is still to be recorded."""
    _complete = False
    _disconnected = False
    _trailers = False

    def __init__(self, channel: Channel, state: RequestPredictions, context: Context) -> None:
        self._scope, self._receive, self._send = channel
        self._state = state
        self.context = context

    async def receive(self) -> Message:
        """Forwards a message of the client."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Forwards a message of the application, and ends the span after the last one."""
        kind = message["type"]
        if kind == "http.response.start":
            self.code = message["status"]
            if "trailers" in message:
                self._trailers = bool(message["trailers"])
            state = self._state
            named = state.first_id if state.announced is None else _guard.call("fastapi.header", state.choose_id)
            if named is not None:
                message = _guard.call_two("fastapi.header", with_id, message, named) or message
            await self._send(message)
            return
        await self._send(message)
        if kind == "http.response.body":
            self._complete = not message.get("more_body", False) and not self._trailers
        elif kind == "http.response.trailers":
            self._complete = not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            self._complete = True
        if self._complete:
            self._state.is_over = True
        # after a response of 500 the exception still reaches us, and it is the better error type
        if self._complete and self._is_open and self.code is not None and self.code < 500:
            self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        """Records the request; later calls do nothing."""
        if self._is_open:
            self._is_open = False
            _guard.call_two("fastapi.end", self.record, error, self.code)

    def close(self) -> None:
        """Ends the exchange when the application has returned."""
        if self._is_open:
            self.finish(None)
        if self.native is not None:
            _guard.call_two("fastapi.end", _native_telemetry.detach, self._scope, self.native)

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Records span and metrics of the request."""

    def find_route(self) -> str | None:
        """Returns the template of the route that served the request; None if it is unknown."""
        return None

    def error_type(self, error: BaseException | None, status: int | None) -> str | None:
        """The `error.type` of the conventions; None for a successful request."""
        if error is not None:
            # each async library has its own cancellation, and none of them is an Exception
            return exception_type(type(error)) if isinstance(error, Exception) else semconv.CANCELLED
        if self._complete:
            return str(int(status)) if status is not None and status >= 500 else None
        return semconv.CANCELLED if self._disconnected else semconv.INCOMPLETE


class GeneralExchange(Exchange):
    """A request on the general path: its span is one of the OTel API."""

    def __init__(self, channel: Channel, state: RequestState, context: Context, routes: Routes) -> None:
        super().__init__(channel, state, context)
        self._span = state.span or trace.INVALID_SPAN
        self._routes = routes
        self._root: str = self._scope.get("app_root_path", self._scope.get("root_path", ""))

    def watch(self, word: str, measured: Attributes, metrics: RequestMetrics | None) -> None:
        """Starts to measure the request.

        Args:
            word: The method in the span's name.
            measured: The attributes of its metrics that are known at the start.
            metrics: Where it is measured; None if FastAPI measures it.
        """
        self._word = word
        method, scheme = (str(measured.get(name, "")) for name in (semconv.HTTP_REQUEST_METHOD, semconv.URL_SCHEME))
        self._begun = (method, scheme)
        self._started = perf_counter()
        self._metrics = metrics
        self._is_open = True
        if metrics is not None:
            self._ended = metrics.begin((method, scheme), self.context)

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Ends the span and measures the request."""
        span, found = self._span, RequestKey(*self._begun, None, status, None)
        try:
            route = self.find_route()
            if route is not None:
                span.update_name(f"{self._word} {route}")
            found = found._replace(
                route=route, status=None if status is None else int(status), error_type=self.error_type(error, status)
            )
            span.set_attributes(found.attributes())
            if found.error_type not in {None, semconv.CANCELLED}:
                span.set_status(StatusCode.ERROR)
        finally:
            if self._metrics is not None:
                seconds = max(0.0, perf_counter() - self._started)
                self._metrics.record(found, seconds, self.context)
                self._ended()
            span.end()

    def find_route(self) -> str | None:
        return _route_template.find_route(self._scope, self.native, self._root, self._routes())


def with_id(message: Message, prediction_id: str) -> Message:
    """The start of a response with the prediction id, unless the application has set the header itself."""
    is_generated = len(prediction_id) == _GENERATED_LENGTH and prediction_id.isascii() and prediction_id.isalnum()
    if not is_generated and _HEADER_VALUE.fullmatch(prediction_id) is None:
        return message
    headers = message.get("headers") or ()
    for name, _ in headers:
        if len(name) == _NAME_LENGTH and bytes(name).lower() == _HEADER_NAME:
            return message
    response = dict(message)
    response["headers"] = [*headers, (_HEADER_NAME, prediction_id.encode())]
    return response
