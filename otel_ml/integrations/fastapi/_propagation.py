"""Reads the trace context of a caller from its headers."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_ml import _guard
from otel_ml._telemetry.contexts import get_current
from otel_ml.integrations.fastapi._attributes import HEADER_LIMIT
from otel_ml.prediction import PREDICTIONS_KEY, RequestPredictions

BAGGAGE: Final = b"baggage"
TRACE_PARENT: Final = b"traceparent"
TRACE_STATE: Final = b"tracestate"
_STANDARD: Final = frozenset({TraceContextTextMapPropagator, W3CBaggagePropagator})
_TRACE_PARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class PropagationHeaders(NamedTuple):
    """The headers of the global propagator."""

    propagator: object
    fields: frozenset[bytes]
    """The headers that are read; baggage only if some of it is allowed."""
    is_standard: bool
    """Whether it reads only W3C Trace Context, which we can do ourselves."""


UNREAD: Final = PropagationHeaders(None, frozenset(), is_standard=False)
"""The value before the first request."""


def headers_in_force(allowed_baggage: Collection[str]) -> PropagationHeaders:
    """The headers that the global propagator reads now."""
    propagator = propagate.get_global_textmap()
    fields = frozenset(name.lower().encode("latin-1") for name in propagator.fields)
    if not allowed_baggage:
        fields -= {BAGGAGE}
    parts: Any = (propagator,)
    if type(propagator) is CompositePropagator:
        # its members are private; if they cannot be read, the propagator itself is called, which is slower
        parts = getattr(propagator, "_propagators", parts)
    kinds = set(map(type, parts))
    standard = kinds <= _STANDARD and TraceContextTextMapPropagator in kinds and BAGGAGE not in fields
    return PropagationHeaders(propagator, fields, standard)


def context_around() -> Context:
    """Returns the context of a call without what a request that is over has left in it.

    uvicorn reads a connection in the context of the request that last asked for a part of its body, and begins a
    pipelined request in that of the one before.
    """
    local = get_current()
    before = local.get(PREDICTIONS_KEY) if local else None
    if isinstance(before, RequestPredictions) and before.is_over and not trace.get_current_span(local).is_recording():
        return before.outside
    return local


def caller(parent: bytes, state: bytes | None) -> SpanContext | None:
    """The span context by the two headers of W3C Trace Context; None if only the propagator can read them."""
    found = _TRACE_PARENT.fullmatch(parent)
    if found is None or (state is not None and len(state) > HEADER_LIMIT):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    if trace_id == 0 or span_id == 0:
        return INVALID_SPAN_CONTEXT
    text = None if state is None else state.decode("latin-1")
    # the API logs a state that it cannot parse unchanged, and a client must not write control characters into the log
    kept = TraceState.from_header([text]) if text is not None and text.isprintable() else None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags), trace_state=kept)


def remote_context(
    carrier: dict[str, list[str]], local: Context, allowed_baggage: Collection[str], *, trusted: bool
) -> tuple[Context, list[Link]]:
    """The parent context of a request and its links, read by the global propagator.

    An untrusted caller's span is linked, not followed: its sampled flag would decide what we record.
    """
    if not carrier:
        return local, []
    carrier = {name: [value for value in values if value.isprintable()] for name, values in carrier.items()}
    joined = {name: [",".join(values)] if name == "baggage" else values for name, values in carrier.items()}
    if not trusted:
        joined.pop("tracestate", None)  # a link keeps ids only
        remote = _guard.call("fastapi.extract", propagate.extract, joined, Context()) or Context()
        span_context = trace.get_current_span(remote).get_span_context()
        return local, [Link(span_context)] if span_context.is_valid else []
    context = _guard.call("fastapi.extract", propagate.extract, joined, local)
    if context is None:
        return local, []
    return _without_other_baggage(context, local, allowed_baggage), []


def _without_other_baggage(context: Context, local: Context, allowed: Collection[str]) -> Context:
    kept = baggage.get_all(local)
    for name, value in baggage.get_all(context).items():
        if name not in allowed and kept.get(name) != value:
            context = baggage.remove_baggage(name, context)
    return context
