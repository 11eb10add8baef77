"""The data of a model: its features, the worst first; one of them against its reference; its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._verdicts import PSI_LIMIT
from otel_ml.console.storage._feature_verdicts import features_with_bins
from otel_ml.console.storage._segment_shares import segment_shares
from otel_ml.console.web.charts._bins import bin_link, link_segments, share_links
from otel_ml.console.web.charts._data_charts import bin_table, changed_bins, psi_table, share_table
from otel_ml.console.web.charts._model_events import period_edges

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame
    from otel_ml.console.web._view import PageView

_SHOWN: Final = 60
"""Features and segments of the page."""
_OF_FEATURE: Final = ("feature", "version", "role", "profile")
"""The parameters that choose one feature."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def data(request: Request) -> Response:
        view = await frame.view_of_model(request, _OF_FEATURE)
        edges, name = period_edges(view.window), request.query_params.get("feature") or None
        rows = await frame.reader.read(features_with_bins, view.span, edges, _SHOWN, name)
        if name is not None:
            found = _of_feature(view, rows, request.query_params)
            return await frame.render(request, "feature.html", view, title=f"Feature {name}", name=name, **found)
        segments = await frame.reader.read(segment_shares, view.span, edges)
        link_segments(view, segments, _SHOWN)
        return await frame.render(
            request, "features.html", view, title="Data", features=_worst(view, rows), segments=segments, shown=_SHOWN,
            psi_limit=PSI_LIMIT,
        )  # fmt: skip

    return [frame.route("/data", data)]


def _worst(view: PageView, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns one row a feature: that of the version with the most severe verdict."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        first = found.setdefault(row["feature"], row)
        first["others"] = first.get("others", -1) + 1
    for row in [*found.values()][:_SHOWN]:
        row["changed"] = changed_bins(row) if semconv.DRIFTED in row["findings"] else []
        row["link"] = _link(view, row)
    return [*found.values()]


def _link(view: PageView, row: dict[str, Any]) -> str:
    return view.link("/data", **{name: row[name] for name in _OF_FEATURE})


def _of_feature(view: PageView, rows: list[dict[str, Any]], wanted: QueryParams) -> dict[str, Any]:
    """Returns a feature with its charts, the same one of other versions, and those beside it in the list."""
    asked = {name: wanted[name] for name in _OF_FEATURE if wanted.get(name)}
    place = next((at for at, row in enumerate(rows) if all(row[name] == asked[name] for name in asked)), None)
    if place is None:
        return {"row": None}
    row = rows[place]
    same = [each for each in rows if each["feature"] == row["feature"]]
    beside = [each for each in rows if all(each[name] == row[name] for name in _OF_FEATURE[1:])]
    place = beside.index(row)
    before, after = beside[:place][-1:], beside[place + 1 :][:1]
    return {
        "row": row,
        "bins": bin_table(row),
        "psi": psi_table(row, view.window),
        "shares": share_table(row, view.window),
        "share_links": share_links(view, row),
        "changed": [each | {"link": bin_link(view, row, each["bin"])} for each in changed_bins(row)],
        "same": [(each, _link(view, each), each is row) for each in same],
        "previous": [(each["feature"], _link(view, each)) for each in before],
        "next": [(each["feature"], _link(view, each)) for each in after],
    }
