"""The OTLP endpoints: read with a limit and a deadline, decode off the event loop, queue, answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from otel_ml.console._threads import BusyError, Threads
from otel_ml.console.receiving import _otlp_http
from otel_ml.console.receiving._otlp_http import RefusalError

if TYPE_CHECKING:
    from starlette.requests import Request

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._decoded_request import DecodedRequest
    from otel_ml.console.receiving._ingest_queue import IngestQueue

_RETRY_AFTER = 1
"""Seconds after which a sender may retry if the queue is full."""
_DECODERS = 2
"""Requests decoded at the same time."""
_WAITING = 256
"""Complete requests that wait for decoding; further ones are answered with 503."""
_DECODE_SECONDS = 30.0
"""Time until a complete request is decoded, including the wait."""


class Receiver:
    """Receives the three signals; accepts a request once all of it is in the file."""

    def __init__(self, ingest: IngestQueue, options: Options) -> None:
        self._ingest = ingest
        self._limit = options.max_request_bytes
        self._records = options.max_request_records
        self._read_seconds = options.body_seconds
        self._decoders = Threads(
            "otel-ml-console-decoder", running=_DECODERS, waiting=_WAITING, seconds=_DECODE_SECONDS
        )

    async def receive(self, request: Request) -> Response:
        """Answers one request; its signal is the last part of the path."""
        signal = str(request.scope["path"]).rpartition("/")[2]
        encoding = _otlp_http.JSON
        claimed = [0]
        try:
            encoding = _otlp_http.read_content_type(request.headers.get("content-type", ""))
            body = await self._read(request, claimed)
            coding = request.headers.get("content-encoding", "")
            decoded = await self._decoded(signal, body, encoding, coding)
            self._queue(decoded)
            # the queue counts the records from here on
            self._ingest.release(claimed[0])
            claimed[0] = 0
            await self._written(decoded)
            return Response(_otlp_http.accept(signal, encoding, decoded), media_type=encoding)
        except RefusalError as refusal:
            return _refused(refusal, encoding)
        except asyncio.CancelledError:
            # the console is ending; the sender keeps its records
            return _refused(RefusalError(503, "the console is ending", retry_after=_RETRY_AFTER), encoding)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            self._ingest.release(claimed[0])

    async def _decoded(self, *arguments: Any) -> DecodedRequest:
        try:
            return await self._decoders.run(self._decode, *arguments)
        except BusyError:
            raise RefusalError(503, "too many requests wait", retry_after=_RETRY_AFTER) from None

    def _queue(self, decoded: DecodedRequest) -> None:
        if not self._ingest.offer(decoded):
            raise RefusalError(503, "the queue is full", retry_after=_RETRY_AFTER)

    async def _written(self, decoded: DecodedRequest) -> None:
        # a sender that goes away does not take its records back
        if not await asyncio.shield(asyncio.wrap_future(decoded.written)):
            raise RefusalError(503, "the file cannot be written", retry_after=_RETRY_AFTER)

    async def _read(self, request: Request, claimed: list[int]) -> bytes:
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 20 and int(announced) > self._limit:
            raise RefusalError(413, f"the request has more than {self._limit} bytes")
        try:
            return await asyncio.wait_for(self._collect(request, claimed), self._read_seconds)
        except asyncio.TimeoutError:
            raise RefusalError(408, "the request body did not arrive in time") from None

    async def _collect(self, request: Request, claimed: list[int]) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            if len(body) + len(chunk) > self._limit:
                raise RefusalError(413, f"the request has more than {self._limit} bytes")
            if not self._ingest.reserve(len(chunk)):
                raise RefusalError(503, "too many requests are in memory", retry_after=_RETRY_AFTER)
            claimed[0] += len(chunk)
            body += chunk
        return bytes(body)

    def _decode(self, signal: str, body: bytes, encoding: str, coding: str) -> DecodedRequest:
        plain = _otlp_http.inflate(body, coding, self._limit)
        return _otlp_http.rows(signal, plain, encoding, self._records)


def refused(request: Request, refusal: RefusalError) -> Response:
    """The answer to a request whose body is not read, in its encoding if that is known."""
    try:
        encoding = _otlp_http.read_content_type(request.headers.get("content-type", ""))
    except RefusalError:
        encoding = _otlp_http.JSON
    return _refused(refusal, encoding)


def _refused(refusal: RefusalError, encoding: str) -> Response:
    headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    return Response(_otlp_http.refuse(refusal, encoding), refusal.status, headers, media_type=encoding)
