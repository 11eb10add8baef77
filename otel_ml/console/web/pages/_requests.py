"""The list of requests, also of those without a prediction, and the page of one trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import QueryParams

from otel_ml.console.storage.details._trace_detail import trace_detail
from otel_ml.console.storage.lists import _request_list
from otel_ml.console.storage.lists._http_names import http_of
from otel_ml.console.storage.lists._request_list import RequestFilter
from otel_ml.console.web import _parameters
from otel_ml.console.web._list_address import ListAddress, without_bar
from otel_ml.console.web._operations import REQUEST_FILTER
from otel_ml.console.web.details import _exceptions, _waterfall

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

_FILTER: Final = without_bar(REQUEST_FILTER)
_PARAMETERS: Final = (*_FILTER, _parameters.PAGE_LIMIT, _parameters.AFTER)
_KINDS: Final[dict[str, dict[str, str]]] = {
    "All": {},
    "Failed": {"failed": "true"},
    "Refused (4xx)": {"status_code": "4"},
    "With a prediction": {"predicted": "true"},
    "Without one": {"predicted": "false"},
}
"""The kinds of requests that one click shows, with their parameters."""
UNKNOWN: Final = "No such trace. It was not sampled, has not arrived yet, or retention has deleted it."


def routes(frame: Frame) -> list[BaseRoute]:
    """The routes of both pages."""

    async def shown_list(request: Request) -> Response:
        return await _show_list(frame, request)

    async def shown_trace(request: Request) -> Response:
        wanted = str(request.path_params["trace_id"]).lower()
        view = await frame.view(request, ("span",))
        found = await frame.reader.read(trace_detail, wanted)
        if found is None:
            return frame.message(404, UNKNOWN)
        return await frame.render(
            request, "trace.html", view, title=f"Trace {wanted}", trace_id=wanted,
            **found | trace_parts(found["trace"], found["logs"], request.query_params.get("span")),
        )  # fmt: skip

    return [frame.route("/requests", shown_list), frame.route("/traces/{trace_id}", shown_trace)]


def trace_parts(trace: dict[str, Any] | None, logs: list[dict[str, Any]], chosen: str | None) -> dict[str, Any]:
    """What a page draws of a trace and its log lines."""
    spans = [bar.span for bar in _waterfall.waterfall(trace["spans"])] if trace else []
    shown, hidden = _exceptions.exceptions(spans, logs, _exceptions.SHOWN)
    return {
        "status_code": http_of(spans[0]["attributes"])["status_code"] if spans else None,
        "waterfall": _waterfall.part(spans, chosen) if spans else None,
        "skews": _waterfall.skews(spans),
        "is_truncated": bool(trace and trace["truncated"]),
        "exceptions": shown,
        "exceptions_hidden": hidden,
        "begin_ns": min((span["start_ns"] for span in spans), default=None),
    }


async def _show_list(frame: Frame, request: Request) -> Response:
    view = await frame.view(request, [one.name for one in _PARAMETERS])
    address = ListAddress.of(request, view)
    given = _parameters.read(QueryParams(address.own), _PARAMETERS)
    wanted = RequestFilter(**view.filter, **given)
    rows, following = await frame.reader.read(_request_list.page, wanted)
    return await frame.render(
        request,
        "requests.html",
        view,
        title="Requests",
        rows=rows,
        choices={"service": await frame.reader.read(_request_list.services, RequestFilter(**view.filter))},
        filter=dict(address.own),
        active=address.active({"service", "text", "min_duration", "max_duration"}),
        kinds=address.kinds(_KINDS),
        **address.pages(wanted.after, following, len(rows) < wanted.limit),
    )
