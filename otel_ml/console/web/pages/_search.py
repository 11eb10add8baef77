"""From an id or a name in the search field to the page about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse

from otel_ml.console.storage import _models, _prediction_detail
from otel_ml.console.storage.details._trace_detail import trace_detail
from otel_ml.console.web import _query_parameters
from otel_ml.console.web._formats import path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

_AROUND: Final = " \t\r\n\"'`,;<>"
"""What a line or a document has around an id that was copied from it."""
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")
_SPAN: Final = re.compile(r"[0-9a-f]{16}")
_PREFIX: Final = 4
"""The fewest characters of an id that are looked for."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the search."""

    async def search(request: Request) -> Response:
        _query_parameters.check(request.query_params, ("q",))
        wanted = request.query_params.get("q", "").strip(_AROUND)
        found = await frame.reader.read(_find, wanted) if wanted else None
        if found is None:
            return frame.message(404, f"No prediction, trace or model has the id or name “{wanted}”.")
        return RedirectResponse(found, 303)

    return [frame.route("/search", search)]


def _find(cursor: Any, wanted: str) -> str | None:
    """Returns the address of the page; None if nothing has the id or name.

    An id is also found if it was copied in upper case, within a `traceparent`, or by its first characters.
    """
    if wanted in _models.names(cursor):
        return f"/model?model={path(wanted)}"
    lower = wanted.lower()
    spellings = dict.fromkeys((wanted, lower))
    found = _find_record(cursor, lower, spellings)
    if found is not None or len(wanted) < _PREFIX:
        return found
    for each in spellings:
        ids = _models.ids_that_begin(cursor, each)
        if ids:
            return f"/predictions/{path(ids[0])}" if len(ids) == 1 else f"/predictions?range=3d&id={path(each)}"
    return None


def _find_record(cursor: Any, wanted: str, spellings: Iterable[str]) -> str | None:
    for each in spellings:
        if _models.has_prediction(cursor, each):
            return f"/predictions/{path(each)}"
    found = _find_trace(cursor, wanted)
    if found is not None:
        return found
    # a row of a batch is looked for in the text of all events, which takes longest
    known = (each for each in spellings if _prediction_detail.prediction(cursor, each))
    return next((f"/predictions/{path(each)}" for each in known), None)


def _find_trace(cursor: Any, wanted: str) -> str | None:
    within = _TRACEPARENT.fullmatch(wanted)
    trace_id, span_id = within.group("trace", "span") if within else (wanted.replace("-", ""), None)
    if _SPAN.fullmatch(wanted):
        trace_id, span_id = _models.trace_of_span(cursor, wanted) or wanted, wanted
    predictions = [] if span_id else _models.predictions_of_trace(cursor, trace_id)
    if len(predictions) == 1:
        return f"/predictions/{path(predictions[0])}"
    found = trace_detail(cursor, trace_id)
    if found and predictions and not found["trace"]:
        return f"/predictions?range=3d&trace_id={trace_id}"
    if found:
        return f"/traces/{trace_id}" + (f"?span={span_id}" if span_id else "")
    return None
