"""The web pages: rendered here, every value escaped, nothing loaded from another host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.web import _assets
from otel_ml.console.web.pages import _data, _model, _overview, _performance, _predictions, _report, _requests, _search

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame


_PAGES: Final = (_overview, _model, _data, _performance, _predictions, _report, _requests, _search)


def routes(frame: Frame) -> list[BaseRoute]:
    """The routes of all pages, and of the files that they load."""
    return [
        *(route for page in _PAGES for route in page.routes(frame)),
        _assets.route(frame.static),
    ]
