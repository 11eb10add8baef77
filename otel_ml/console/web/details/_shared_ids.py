"""Spans of one trace with the same id: by the rule of Zipkin a server takes over the id of its caller's span."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

_CALLERS: Final = frozenset({3, 4})
"""Kinds of spans whose id a server takes over: client and producer."""


def with_own_ids(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same spans, each with an id of its own: the server's span is a child of its caller's.

    What runs in the service of the server is below its span, and not below that of the caller.
    """
    shared = {own for own, times in Counter(span["span_id"] for span in spans).items() if times > 1}
    newest: dict[str, str] = {}
    of_service: dict[tuple[str, Any], str] = {}
    renamed: dict[int, dict[str, Any]] = {}
    among = [span for span in spans if span["span_id"] in shared]
    for span in sorted(among, key=lambda each: each.get("kind") not in _CALLERS):
        own = new = span["span_id"]
        if own in newest:
            new = f"{newest[own]}-2"
            renamed[id(span)] = span | {"span_id": new, "parent_span_id": newest[own]}
        newest[own] = of_service[own, span.get("service_name")] = new
    found = []
    for span in spans:
        parent = of_service.get((span["parent_span_id"], span.get("service_name")))
        below = span if parent is None else span | {"parent_span_id": parent}
        found.append(renamed.get(id(span), below))
    return found
