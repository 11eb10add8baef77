"""From an id or a name in the search field to the page about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from otel_ml.console.storage import _models, _prediction_detail
from otel_ml.console.storage.details._trace_detail import trace_detail
from otel_ml.console.web import _query_parameters
from otel_ml.console.web._formats import path

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the search."""

    async def search(request: Request) -> Response:
        _query_parameters.check(request.query_params, ("q",))
        wanted = request.query_params.get("q", "").strip()
        if wanted in await frame.reader.read(_models.names):
            return RedirectResponse(f"/model?model={path(wanted)}", 303)
        if await frame.reader.read(_prediction_detail.prediction, wanted):
            return RedirectResponse(f"/predictions/{path(wanted)}", 303)
        of_trace = await frame.reader.read(_models.prediction_of_trace, wanted.lower())
        if of_trace:
            return RedirectResponse(f"/predictions/{path(of_trace)}", 303)
        if await frame.reader.read(trace_detail, wanted.lower()):
            return RedirectResponse(f"/traces/{path(wanted.lower())}", 303)
        return frame.message(404, f"No prediction, trace or model has the id or name “{wanted}”.")

    return [frame.route("/search", search)]
