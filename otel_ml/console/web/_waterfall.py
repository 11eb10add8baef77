"""The bars of a trace: depth, offset and width of each span."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_ml import semconv

DEPTH_MAX = 12
"""Deeper spans are drawn at this depth."""
_PREDICT = semconv.PREDICT_SPAN.partition("{")[0]
_ERROR = 2


class Bar(NamedTuple):
    """One span of the drawing; offset and width in percent of the whole trace."""

    span: dict[str, Any]
    depth: int
    offset: float
    width: float
    is_error: bool
    is_prediction: bool


def waterfall(spans: list[dict[str, Any]]) -> list[Bar]:
    """The spans depth first, children by start time; a span without a stored parent is a root."""
    known = {span["span_id"] for span in spans}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for span in spans:
        parent = span["parent_span_id"] if span["parent_span_id"] in known else None
        children.setdefault(parent, []).append(span)
    start = min((span["start_ns"] for span in spans), default=0)
    whole = max((span["end_ns"] for span in spans), default=0) - start
    bars: list[Bar] = []
    drawn: set[str] = set()
    # spans in a cycle have no root; they come last, as roots
    for root in [*children.get(None, []), *spans]:
        waiting = [(root, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span["span_id"] in drawn:
                continue
            drawn.add(span["span_id"])
            bars.append(_bar(span, depth, start, whole))
            waiting.extend((child, depth + 1) for child in reversed(children.get(span["span_id"], [])))
    return bars


def _bar(span: dict[str, Any], depth: int, start: int, whole: int) -> Bar:
    share = 100.0 / whole if whole > 0 else 0.0
    offset = min(max((span["start_ns"] - start) * share, 0.0), 99.5)
    width = min(max((span["end_ns"] - span["start_ns"]) * share, 0.5), 100.0 - offset)
    return Bar(
        span,
        min(depth, DEPTH_MAX),
        round(offset, 2),
        round(width, 2),
        span["status"] == _ERROR,
        span["name"].startswith(_PREDICT),
    )
