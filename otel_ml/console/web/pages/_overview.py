"""Every model and every service, and what needs attention first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage.lists._services import late_records
from otel_ml.console.web._attention import alerts
from otel_ml.console.web._overview_rows import model_rows, service_rows

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame


_SHOWN: Final = 25
"""Models and services of one page."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def overview(request: Request) -> Response:
        view = (await frame.view(request)).of(None)
        span = Span(None, view.window.since_ns, None if view.is_live else view.window.until_ns)
        read = frame.reader.read
        models, services, late = await asyncio.gather(
            read(model_rows, view.window, span), read(service_rows, view.window), read(late_records, view.window)
        )
        found = alerts(models, services, late)
        places = {alert.subject: place for place, alert in reversed([*enumerate(found)])}
        return await frame.render(
            request, "overview.html", view, title="Overview", alerts=found, shown=_SHOWN,
            rows=sorted(models, key=lambda row: places.get(row["model"], len(found))), services=services,
        )  # fmt: skip

    return [frame.route("/", overview)]
