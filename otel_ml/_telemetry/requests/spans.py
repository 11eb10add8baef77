"""Finished server spans and their OTLP bytes; the bytes that are constant for a shape are encoded only once."""

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
from otel_ml._telemetry.otlp._templates import END_NS, PARENT_ID, SPAN_ID, START_NS, TRACE_ID, split_at
from otel_ml._telemetry.records import Attributes, SpanData
from otel_ml.config import DEFAULT_LIMITS, RecordLimits

TEMPLATES_KEPT: Final = 512
"""Templates to keep: methods x routes x statuses x a few flags. Beyond this number all are dropped and made again."""
_LONGEST: Final = 1024
"""Characters that an attribute of a span on the fast path has at most."""
_MOST: Final = 32
"""Attributes that such a span has at most."""
CLIENTS_KEPT: Final = 512
"""Clients whose encoded attributes are kept. Beyond this number all are dropped, since clients can be faked."""


class CompactSpan(NamedTuple):
    """A server span on the fast path: its shape, and the values that differ from other spans of this shape."""

    key: tuple[object, ...]
    """The shape: spans with equal keys differ only in the fields below. A client can choose nothing in it freely."""
    trace_id: int
    span_id: int
    parent_span_id: int
    """0 for a root span; only whether there is a parent belongs to the shape."""
    start_ns: int
    end_ns: int
    attributes: Attributes
    """Attributes that vary from span to span, such as the path: clean texts and non-negative numbers."""
    client: tuple[object, ...]
    """Identifies the client; `FinishedSpan.about` is called only for a client without kept attributes."""


class FinishedSpan(Protocol):
    """A span that has ended. It holds no user objects."""

    def compact(self) -> CompactSpan | None:
        """Returns the span for the fast path; None if it must take the general path. Called once, on the worker."""

    def about(self) -> Attributes:
        """Returns the attributes of the client in `CompactSpan.client`: clean texts and non-negative numbers."""

    def render(self) -> SpanData:
        """Returns the whole span, with the attributes of its shape, its own and those of its client, in this order."""


_ID: Final = struct.Struct(">Q")
_TIME: Final = struct.Struct("<Q")
_PLACE: Final = {"place of": "the attributes"}
"""An attribute that marks the place of those that vary."""


class SpanEncoder:
    """Encodes finished spans of one scope; only the worker uses it.

    Args:
        scope: The encoded instrumentation scope of the spans.
        limits: The limits in force. A span that they could change takes the general path.
    """

    def __init__(self, scope: bytes, limits: RecordLimits = DEFAULT_LIMITS) -> None:
        self._scope = scope
        self._limits = limits
        longest = limits.span_value_length
        self._takes_templates = (longest is None or longest >= _LONGEST) and limits.span_attributes >= _MOST
        self._templates: dict[tuple[object, ...], bytes | None] = {}
        self._clients: dict[tuple[object, ...], bytes] = {}

    def __call__(self, spans: Sequence[FinishedSpan]) -> list[Encoded]:
        """Encodes the spans as records; raises if one cannot be encoded."""
        encoded = [self._span(span) for span in spans]
        return join(self._scope, [FRAMES[len(one)] + one for one in encoded])

    def _span(self, span: FinishedSpan) -> bytes:
        compact = span.compact() if self._takes_templates else None
        template = None if compact is None else self._template(span, compact)
        if compact is None or template is None:
            return _encoding.encode_span(span.render(), self._limits)
        return self._fill(template, compact, self._client(span, compact.client))

    def _fill(self, template: bytes, compact: CompactSpan, client: bytes) -> bytes:
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
                self._templates.clear()  # or later shapes would all take the general path
            made = self._templates[compact.key] = _guard.call_two("worker.template", self._make, span, compact)
            return made

    def _make(self, span: FinishedSpan, compact: CompactSpan) -> bytes | None:
        """Encodes the shape with known values on the general path and splits the message at them.

        Returns None if the template, filled for this span, differs from the span's own encoding.
        """
        whole = span.render()
        chosen = compact.attributes.keys() | span.about().keys()
        constant = {key: value for key, value in whole.attributes.items() if key not in chosen}
        parent = PARENT_ID if compact.parent_span_id else 0
        pattern = replace(
            whole,
            trace_id=TRACE_ID,
            span_id=SPAN_ID,
            parent_span_id=parent,
            start_ns=START_NS,
            end_ns=END_NS,
            attributes={**constant, **_PLACE},
        )
        parents = [_ID.pack(parent)] if parent else []
        (place,) = [attribute(_ATTRIBUTES, name, value) for name, value in _PLACE.items()]
        ids = [TRACE_ID.to_bytes(16, "big"), _ID.pack(SPAN_ID), *parents]
        template = _format(_encoding.encode_span(pattern), [*ids, _TIME.pack(START_NS), _TIME.pack(END_NS), place])
        if template is None:
            return None
        filled = self._fill(template, compact, self._client(span, compact.client))
        return template if filled == _encoding.encode_span(whole) else None


_ATTRIBUTES: Final = tag(Span.ATTRIBUTES_FIELD_NUMBER)


def _format(message: bytes, fields: list[bytes]) -> bytes | None:
    """Returns the message as a format string for the fields; None unless it contains them in this order."""
    constants = split_at(message, fields)
    return None if constants is None else b"%b".join([constant.replace(b"%", b"%%") for constant in constants])
