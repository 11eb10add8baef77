"""The token of OTLP/gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from otel_ml.console.public._gate import REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_ml.console.public._token import Token


class TokenInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the token before their message is read."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """Returns the handler of a call."""
        if self._token.is_bearer(dict(handler_call_details.invocation_metadata).get("authorization", "")):
            return continuation(handler_call_details)
        # a handler of streams begins before the first message
        return grpc.stream_stream_rpc_method_handler(_refuse)


def _refuse(_messages: Any, context: Any) -> Any:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSED)
