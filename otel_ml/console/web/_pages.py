"""The web pages: rendered here, every value escaped, nothing loaded from another host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.web import _assets
from otel_ml.console.web.pages import (
    _data,
    _health,
    _logs,
    _metrics,
    _model,
    _overview,
    _performance,
    _predictions,
    _report,
    _requests,
    _resources,
    _search,
)

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._ingest_queue import IngestQueue
    from otel_ml.console.web._frame import Frame


_PAGES: Final = (
    _overview,
    _model,
    _data,
    _performance,
    _predictions,
    _report,
    _requests,
    _logs,
    _metrics,
    _resources,
    _search,
)


def routes(frame: Frame, ingest: IngestQueue, options: Options) -> list[BaseRoute]:
    """The routes of all pages, and of the files that they load."""
    return [
        *(route for page in _PAGES for route in page.routes(frame)),
        *_health.routes(frame, ingest, options),
        _assets.route(frame.static),
    ]
