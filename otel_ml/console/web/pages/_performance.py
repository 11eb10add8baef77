"""The performance of a model: what labels, scores, segments and other versions say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.performance._performance import performance
from otel_ml.console.web._chart import chart

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

_SEGMENTS_SHOWN: Final = 100


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def shown_performance(request: Request) -> Response:
        view = await frame.view_of_model(request)
        found = await frame.reader.read(performance, view.span)
        for each in found["versions"]:
            training = {row["figure"]: row["training"] for row in each["estimate"]}
            each["chart"] = chart(each["periods"], training.get("accuracy"))
        return await frame.render(
            request, "performance.html", view, title="Performance", segments_shown=_SEGMENTS_SHOWN, **found
        )

    return [frame.route("/performance", shown_performance)]
