"""The bars of a trace: depth, offset and width of each span, and which of them a page shows."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml.console.receiving._values import dump
from otel_ml.console.web.details._shared_ids import with_own_ids

DEPTH_MAX: Final = 12
"""Deeper spans are drawn at this depth."""
SPANS_SHOWN: Final = 80
"""Spans of one page."""
_DETAILS: Final = 40_000
"""Characters of the details of spans in a page, the chosen one aside."""
_DETAIL: Final = 800
"""Characters of details without attributes, events and links."""
_TICKS: Final = 5
_PREDICT: Final = semconv.PREDICT_SPAN.partition("{")[0]
_ERROR: Final = 2
_SKEW_NS: Final = 1_000_000
"""By how much a span may begin before its parent: clocks of one machine differ by less."""
KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("unset", "ok", "error")


class Bar(NamedTuple):
    """One span of the drawing; offset and width in percent of the whole trace."""

    span: dict[str, Any]
    depth: int
    offset: float
    width: float
    is_error: bool
    is_prediction: bool
    begin: float
    """Seconds since the start of the trace."""
    kind: str
    status: str


class Waterfall(NamedTuple):
    """The part of a trace that a page shows."""

    bars: list[Bar]
    detailed: set[str]
    """Ids of the spans whose details are in the page."""
    chosen: str | None
    """Id of the span that is open."""
    total: int
    earlier: str | None
    """Id of the first span of the part before."""
    later: str | None
    ticks: list[float]
    """Seconds on the axis, at equal distances."""
    errors: int
    services: list[str]
    """The services of the whole trace, in the order of their first spans."""


def waterfall(spans: list[dict[str, Any]]) -> list[Bar]:
    """The spans depth first, children by start time; a span without a stored parent is a root."""
    spans = with_own_ids(spans)
    known = {span["span_id"] for span in spans}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for span in spans:
        parent = span["parent_span_id"] if span["parent_span_id"] in known else None
        children.setdefault(parent, []).append(span)
    start, whole = _extent(spans)
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


def skews(spans: list[dict[str, Any]]) -> dict[str, float]:
    """By how many seconds spans of a service begin before those of another one that called them."""
    known = {span["span_id"]: span for span in spans}
    found: dict[str, float] = {}
    for span in spans:
        parent = known.get(span["parent_span_id"], span)
        early, service = parent["start_ns"] - span["start_ns"], span["service_name"]
        if early > _SKEW_NS and service and service != parent["service_name"]:
            found[service] = max(early / 1e9, found.get(service, 0.0))
    return found


def part(spans: list[dict[str, Any]], chosen: str | None) -> Waterfall:
    """The part of a trace that has the chosen span, else the first part."""
    bars = waterfall(spans)
    ids = [bar.span["span_id"] for bar in bars]
    chosen = chosen if chosen in ids else None
    first = ids.index(chosen) // SPANS_SHOWN * SPANS_SHOWN if chosen else 0
    shown = bars[first : first + SPANS_SHOWN]
    _, whole = _extent(spans)
    return Waterfall(
        shown,
        _detailed(shown, chosen),
        chosen,
        len(bars),
        ids[first - SPANS_SHOWN] if first else None,
        ids[first + SPANS_SHOWN] if first + SPANS_SHOWN < len(ids) else None,
        [max(whole, 0) / 1e9 * place / (_TICKS - 1) for place in range(_TICKS)],
        sum(bar.is_error for bar in bars),
        [*dict.fromkeys(bar.span.get("service_name") or "" for bar in bars)],
    )


def _detailed(bars: list[Bar], chosen: str | None) -> set[str]:
    """The chosen span, then those that failed, then the others, as long as their details have room."""
    found, remaining = set(), _DETAILS
    for bar in sorted(bars, key=lambda each: (each.span["span_id"] != chosen, not each.is_error)):
        remaining -= _DETAIL + sum(len(dump(bar.span.get(name))) for name in ("attributes", "events", "links"))
        if remaining > 0 or bar.span["span_id"] == chosen:
            found.add(bar.span["span_id"])
    return found


def _extent(spans: list[dict[str, Any]]) -> tuple[int, int]:
    start = min((span["start_ns"] for span in spans), default=0)
    return start, max((span["end_ns"] for span in spans), default=0) - start


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
        (span["start_ns"] - start) / 1e9,
        _word(KINDS, span.get("kind")),
        _word(STATUSES, span["status"]),
    )


def _word(words: tuple[str, ...], number: Any) -> str:
    return words[number] if isinstance(number, int) and 0 <= number < len(words) else words[0]
