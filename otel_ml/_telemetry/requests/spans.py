"""Finished server spans on their way to the worker, and their OTLP bytes: constant parts encoded once a shape."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ml import _guard
from otel_ml._protobuf import attribute, tag
from otel_ml._telemetry.otlp import _encoding
from otel_ml._telemetry.otlp._framing import FRAMES, Encoded, join
from otel_ml._telemetry.records import Attributes, SpanData

TEMPLATES_KEPT: Final = 512
"""Shapes that are kept: methods x routes x statuses x a few flags. Beyond it spans take the general way."""
CLIENTS_KEPT: Final = 512
"""Clients whose attributes are remembered as bytes. All are forgotten when there are more: anybody can be many."""


class CompactSpan(NamedTuple):
    """An everyday server span in the few values by which it differs from others of its shape."""

    key: tuple[object, ...]
    """The shape: two spans with equal keys differ in nothing but what stands below. Nothing in it is the client's."""
    trace_id: int
    span_id: int
    parent_span_id: int
    """0 for a root span; part of the shape is only whether there is one."""
    start_ns: int
    end_ns: int
    attributes: Attributes
    """What is new with every span, such as its path: clean texts and non-negative numbers."""
    client: tuple[object, ...]
    """What tells one client from another; `FinishedSpan.about` is asked only if it has not been seen lately."""


class FinishedSpan(Protocol):
    """A span that has ended. It holds plain values only."""

    def compact(self) -> CompactSpan | None:
        """The span in its few values; None if it is not an everyday one. Called once, on the worker."""

    def about(self) -> Attributes:
        """The attributes that `CompactSpan.client` stands for: clean texts and non-negative numbers."""

    def render(self) -> SpanData:
        """The whole span. Its attributes are those of its shape, its own and those of its client, in this order."""


_ID: Final = struct.Struct(">Q")
_TIME: Final = struct.Struct("<Q")
_TRACE_ID: Final = 0x6F8D2B7AC4E19350A7D3516E9B0C48F2
_SPAN_ID: Final = 0x93C5A1E7D20B684F
_PARENT_ID: Final = 0xB1D4F70692A85C3E
_START_NS: Final = 0x17A3C95E62D84B10
_END_NS: Final = 0x17A3C95F83E95C21
_PLACE: Final = {"stands for": "the attributes"}
"""Values that occur once each in an encoded message, so that their places can be found."""


class SpanEncoder:
    """Encodes finished spans of one scope; used by the worker only."""

    def __init__(self, scope: bytes) -> None:
        self._scope = scope
        self._templates: dict[tuple[object, ...], bytes | None] = {}
        self._clients: dict[tuple[object, ...], bytes] = {}

    def __call__(self, spans: Sequence[FinishedSpan]) -> list[Encoded]:
        """The spans as records; raises for one that cannot be encoded."""
        encoded = [self._span(span) for span in spans]
        return join(self._scope, [FRAMES[len(one)] + one for one in encoded])

    def _span(self, span: FinishedSpan) -> bytes:
        compact = span.compact()
        template = None if compact is None else self._template(span, compact)
        if compact is None or template is None:
            return _encoding.encode_span(span.render())
        return self._filled(template, compact, self._client(span, compact.client))

    def _filled(self, template: bytes, compact: CompactSpan, client: bytes) -> bytes:
        _, trace_id, span_id, parent_id, start_ns, end_ns, attributes, _ = compact
        ids, start, end = trace_id.to_bytes(16, "big"), _TIME.pack(start_ns), _TIME.pack(end_ns)
        chosen = b"".join([attribute(_ATTRIBUTES, *pair) for pair in attributes.items()]) + client
        if parent_id:
            return template % (ids, _ID.pack(span_id), _ID.pack(parent_id), start, end, chosen)
        return template % (ids, _ID.pack(span_id), start, end, chosen)

    def _client(self, span: FinishedSpan, client: tuple[object, ...]) -> bytes:
        found = self._clients.get(client)
        if found is None:
            if len(self._clients) >= CLIENTS_KEPT:
                self._clients.clear()
            found = self._clients[client] = b"".join([attribute(_ATTRIBUTES, *pair) for pair in span.about().items()])
        return found

    def _template(self, span: FinishedSpan, compact: CompactSpan) -> bytes | None:
        try:
            return self._templates[compact.key]
        except KeyError:
            if len(self._templates) >= TEMPLATES_KEPT:
                self._templates.clear()  # else what came first would keep all that comes later on the slow way
            made = self._templates[compact.key] = _guard.call_two("worker.template", self._make, span, compact)
            return made

    def _make(self, span: FinishedSpan, compact: CompactSpan) -> bytes | None:
        """Encodes the shape with values that stand for others in the general way and cuts it where they stand.

        The result is checked with the span it was made of: what is not byte for byte the same is no template.
        """
        whole = span.render()
        chosen = compact.attributes.keys() | span.about().keys()
        constant = {key: value for key, value in whole.attributes.items() if key not in chosen}
        parent = _PARENT_ID if compact.parent_span_id else 0
        pattern = replace(
            whole,
            trace_id=_TRACE_ID,
            span_id=_SPAN_ID,
            parent_span_id=parent,
            start_ns=_START_NS,
            end_ns=_END_NS,
            attributes={**constant, **_PLACE},
        )
        parents = [_ID.pack(parent)] if parent else []
        (place,) = [attribute(_ATTRIBUTES, name, value) for name, value in _PLACE.items()]
        ids = [_TRACE_ID.to_bytes(16, "big"), _ID.pack(_SPAN_ID), *parents]
        template = _cut(_encoding.encode_span(pattern), [*ids, _TIME.pack(_START_NS), _TIME.pack(_END_NS), place])
        if template is None:
            return None
        filled = self._filled(template, compact, self._client(span, compact.client))
        return template if filled == _encoding.encode_span(whole) else None


_ATTRIBUTES: Final = tag(Span.ATTRIBUTES_FIELD_NUMBER)


def _cut(message: bytes, fields: list[bytes]) -> bytes | None:
    """The message as a format with a place for each field; None if a field is not where it belongs."""
    parts = []
    for field in fields:
        before, found, message = message.partition(field)
        if not found:
            return None
        parts.append(before.replace(b"%", b"%%"))
    return b"%b".join((*parts, message.replace(b"%", b"%%")))
