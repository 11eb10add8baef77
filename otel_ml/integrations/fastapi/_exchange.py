"""One request and its response as they pass through the layer, and what the stock SDK records of them."""

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
from otel_ml.integrations.fastapi import _route
from otel_ml.integrations.fastapi._attributes import Attributes, Scope
from otel_ml.integrations.fastapi._recording import Measure
from otel_ml.prediction import RequestPredictions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Channel = tuple[Scope, Receive, Send]
"""What an ASGI application is called with."""
Routes = Callable[[], Any]
"""Gives the application's routes, where mounts are looked up."""

_HEADER_NAME: Final = semconv.PREDICTION_ID_HEADER.encode("ascii")
_NAME_LENGTH: Final = len(_HEADER_NAME)
_OUR_LENGTH: Final = 32
_HEADER_VALUE: Final = re.compile(r"[!-~]{1,256}")


class RequestState(RequestPredictions):
    """The predictions of one request, and the server span that we made for it."""

    __slots__ = ("span",)

    def __init__(self) -> None:
        super().__init__()
        self.span: Span | None = None


class Exchange:
    """One request and its response. By itself it is another instrumentation's, and only the id header is ours."""

    note: Any = None
    """What `_route.leave_note` gave."""
    code: int | None = None
    """The status of the answer."""
    _is_open = False
    """Whether there is something to record at the end."""
    _complete = False
    _disconnected = False
    _trailers = False

    def __init__(self, channel: Channel, state: RequestPredictions, context: Context) -> None:
        self._scope, self._receive, self._send = channel
        self._state = state
        self.context = context

    async def receive(self) -> Message:
        """Passes a message of the client on."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Passes a message of the application on, and ends the span behind the last one."""
        kind = message["type"]
        if kind == "http.response.start":
            self.code = message["status"]
            if "trailers" in message:
                self._trailers = bool(message["trailers"])
            if self._state.first_id is not None:
                message = _guard.call_two("fastapi.header", with_id, message, self._state.first_id) or message
            await self._send(message)
            return
        await self._send(message)
        if kind == "http.response.body":
            self._complete = not message.get("more_body", False) and not self._trailers
        elif kind == "http.response.trailers":
            self._complete = not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            self._complete = True
        # Behind an answer of 500 the exception is still on its way to us, and it is the better error type.
        if self._complete and self._is_open and self.code is not None and self.code < 500:
            self.finish(None)

    def fail(self, error: BaseException) -> None:
        """Records what the application raised."""
        if self.note is not None:
            _guard.call("fastapi.exception", _route.note_exception, self._scope, self.note, error)
        self.finish(error)

    def finish(self, error: BaseException | None) -> None:
        """Records the request; once, later calls do nothing."""
        if self._is_open:
            self._is_open = False
            _guard.call_two("fastapi.end", self.record, error, self.code)

    def close(self) -> None:
        """The application has returned."""
        if self._is_open:
            self.finish(None)
        if self.note is not None:
            _guard.call_two("fastapi.end", _route.take_note, self._scope, self.note)

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Leaves behind what is to be said of the request."""

    def error_type(self, error: BaseException | None, status: int | None) -> str | None:
        """What the conventions call `error.type`; None for a request that went well."""
        if error is not None:
            # Every async library has a cancellation of its own, and none of them is an Exception.
            return exception_type(type(error)) if isinstance(error, Exception) else semconv.CANCELLED
        if self._complete:
            return str(int(status)) if status is not None and status >= 500 else None
        return semconv.CANCELLED if self._disconnected else semconv.INCOMPLETE


class StockExchange(Exchange):
    """A request whose span is one of the API's."""

    def __init__(self, channel: Channel, state: RequestState, context: Context, routes: Routes) -> None:
        super().__init__(channel, state, context)
        self._span = state.span or trace.INVALID_SPAN
        self._routes = routes
        self._root: str = self._scope.get("app_root_path", self._scope.get("root_path", ""))

    def watch(self, word: str, measured: Attributes, measure: Measure | None) -> None:
        """Starts the clock.

        Args:
            word: What stands for the method in the span's name.
            measured: The attributes that its metrics have from the start.
            measure: Where it is measured; None if others do it.
        """
        self._word = word
        method, scheme = (str(measured.get(name, "")) for name in (semconv.HTTP_REQUEST_METHOD, semconv.URL_SCHEME))
        self._begun = (method, scheme)
        self._started = perf_counter()
        self._measure = measure
        self._is_open = True
        if measure is not None:
            self._ended = measure.begin((method, scheme), self.context)

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Ends the span and measures the request."""
        span, found = self._span, RequestKey(*self._begun, None, status, None)
        try:
            route = _route.route_of(self._scope, self.note, self._root, self._routes())
            if route is not None:
                span.update_name(f"{self._word} {route}")
            found = found._replace(
                route=route, status=None if status is None else int(status), error_type=self.error_type(error, status)
            )
            span.set_attributes(found.attributes())
            if found.error_type not in {None, semconv.CANCELLED}:
                span.set_status(StatusCode.ERROR)
        finally:
            if self._measure is not None:
                seconds = max(0.0, perf_counter() - self._started)
                self._measure.record(found, seconds, self.context)
                self._ended()
            span.end()


def with_id(message: Message, prediction_id: str) -> Message:
    """The start of an answer with the id of its prediction, unless the application has set the header itself."""
    is_ours = len(prediction_id) == _OUR_LENGTH and prediction_id.isascii() and prediction_id.isalnum()
    if not is_ours and _HEADER_VALUE.fullmatch(prediction_id) is None:
        return message
    headers = message.get("headers") or ()
    for name, _ in headers:
        if len(name) == _NAME_LENGTH and bytes(name).lower() == _HEADER_NAME:
            return message
    answer = dict(message)
    answer["headers"] = [*headers, (_HEADER_NAME, prediction_id.encode())]
    return answer
