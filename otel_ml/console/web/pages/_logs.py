"""The list of log records: search, levels, how many there are over time, and one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import QueryParams

from otel_ml import semconv
from otel_ml.console.receiving._values import block
from otel_ml.console.storage._metric_names import plain
from otel_ml.console.storage._queries import parse
from otel_ml.console.storage.lists import _log_list
from otel_ml.console.storage.lists._log_list import LogFilter
from otel_ml.console.web import _parameters
from otel_ml.console.web._frame import PLACE
from otel_ml.console.web._list_address import ListAddress, without_bar
from otel_ml.console.web._operations import LOG_FILTER
from otel_ml.console.web.charts._model_charts import step_table

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

_FILTER: Final = without_bar(LOG_FILTER)
_RECORD: Final = _parameters.text("record", "key of the record that is shown in full")
_PARAMETERS: Final = (*_FILTER, _RECORD, _parameters.PAGE_LIMIT, _parameters.AFTER)
_LEVELS: Final[dict[str, dict[str, str]]] = {
    "All levels": {},
    "Info": {"level": "info"},
    "Warnings": {"level": "warn"},
    "Errors": {"level": "error"},
}
"""The lowest level that one click shows, with its parameter."""
KINDS: Final = {"line": "log lines", "prediction": "predictions", "label": "labels"}
_BRIEF: Final = 240
"""Characters of a record in the list."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def shown(request: Request) -> Response:
        return await _show(frame, request)

    return [frame.route("/logs", shown)]


def level(number: int) -> tuple[str, str]:
    """The level of a severity number, and how the page marks it."""
    names = [name for name, lowest in _log_list.LEVELS.items() if lowest <= number]
    name = names[-1] if names else ""
    return name, {"error": "bad", "fatal": "bad", "warn": "warn"}.get(name, "")


async def _show(frame: Frame, request: Request) -> Response:
    view = await frame.view(request, [one.name for one in _PARAMETERS])
    address = ListAddress.of(request, view)
    given = _parameters.read(QueryParams(address.own), _PARAMETERS)
    key, after, limit = given.pop("record"), given.pop("after"), given.pop("limit")
    given["kind"] = given["kind"] or "line"
    given |= view.filter
    rows, following = await frame.reader.read(_log_list.page, LogFilter(limit=limit, after=after, **given))
    steps = await frame.reader.read(_log_list.volume, LogFilter(**given), view.window)
    return await frame.render(
        request,
        "logs.html",
        view,
        title="Logs",
        rows=[_row(row, address) for row in rows],
        record=await frame.reader.read(_log_list.record, key) if key else None,
        level=level,
        volume=step_table(steps, view.window, lambda row: [row["others"], row["warnings"], row["errors"]], 3),
        choices={"service": await frame.reader.read(_log_list.services, LogFilter(kind=given["kind"], **view.filter))},
        kinds=KINDS,
        kind=given["kind"],
        filter=dict(address.own),
        active=address.active({"text", "service", "trace_id", "prediction_id"}),
        levels=address.kinds(_LEVELS),
        closed=address.link({}, ("record",)),
        **address.pages(after, following),
    )


def _without_body(attributes: Any) -> str:
    """What stands for the body of a record that has none: its exception, else its attributes."""
    found = attributes if isinstance(attributes, dict) else {}
    exception = [str(found[name]) for name in (semconv.EXCEPTION_TYPE, semconv.EXCEPTION_MESSAGE) if found.get(name)]
    return ": ".join(exception) or ", ".join(f"{name}={plain(each)}" for name, each in found.items())


def _row(row: dict[str, Any], address: ListAddress) -> dict[str, Any]:
    body = row["body"] or _without_body(parse(row["attributes"]))
    text = " ".join(block(body, len(body))[: 2 * _BRIEF].split())
    place = dict(address.own).get(PLACE)
    kept = {PLACE: place} if place else {}
    return row | {
        "brief": text if len(text) <= _BRIEF else f"{text[:_BRIEF]} …",
        "link": address.link({"record": row["key"], **kept}),
    }
