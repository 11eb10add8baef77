"""The pages about one model whose content is not yet drawn: features with their verdicts, and performance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.performance._performance import performance
from otel_ml.console.storage import _feature_verdicts
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.web._chart import chart

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame
    from otel_ml.console.web._view import PageView

_SEGMENTS_SHOWN: Final = 100


def routes(frame: Frame) -> list[BaseRoute]:
    """The routes of both pages."""

    async def data(request: Request) -> Response:
        view = await frame.view_of_model(request)
        features = await frame.reader.read(_feature_verdicts.features, span(view))
        return await frame.render(request, "features.html", view, title="Data", features=features)

    async def shown_performance(request: Request) -> Response:
        view = await frame.view_of_model(request)
        found = await frame.reader.read(performance, span(view))
        for each in found["versions"]:
            training = {row["figure"]: row["training"] for row in each["estimate"]}
            each["chart"] = chart(each["periods"], training.get("accuracy"))
        return await frame.render(
            request, "performance.html", view, title="Performance", segments_shown=_SEGMENTS_SHOWN, **found
        )

    return [frame.route("/data", data), frame.route("/performance", shown_performance)]


def span(view: PageView) -> Span:
    """The metric points that a page is about; without a model nothing has arrived, and none is read."""
    return Span(view.model or "", view.window.since_ns, None if view.is_live else view.window.until_ns)
