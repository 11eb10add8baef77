"""The report of a model in a window, as one page to look at, to print, or to save as a file that needs no other."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse

from otel_ml._report import STYLE, page
from otel_ml.console.performance._performance import performance
from otel_ml.console.storage import _feature_verdicts
from otel_ml.console.storage._queries import moment
from otel_ml.console.web.pages._report_content import report_content

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.storage._metric_points import Span
    from otel_ml.console.web._frame import Frame

_DRAWN: Final = 30
_DRAWN_IN_FILE: Final = 200
"""Features whose bins are drawn, the most severe verdict first; a file may be larger than a page."""
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
_HEADERS: Final = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
}
"""The file has its style sheet inside: exactly this one is allowed."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def report(request: Request) -> Response:
        view = await frame.view_of_model(request, ("save",))
        if view.model is None:
            return frame.message(404, "There is no model to report on yet. Send telemetry of one first.")
        window = view.window
        is_file = bool(request.query_params.get("save"))
        features, found = await frame.reader.read(_read, view.span, _DRAWN_IN_FILE if is_file else _DRAWN)
        content = report_content(view.model, moment(window.since_ns), moment(window.until_ns), features, found)
        if is_file:
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", view.model)[:80]
            attached = {"content-disposition": f'attachment; filename="report-{name}.html"'}
            return HTMLResponse(page(content), headers=_HEADERS | attached)
        links = (("Back", view.link("/model")), ("Save as a file", view.link("/report", save="1")))
        return HTMLResponse(page(content, links), headers=_HEADERS)

    return [frame.route("/report", report)]


def _read(cursor: Any, span: Span, drawn: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return _feature_verdicts.features_with_bins(cursor, span, (), drawn), performance(cursor, span)
