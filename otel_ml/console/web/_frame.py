"""What all pages share: templates, the bar with model and time range, and the answer to a wrong address."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse
from starlette.routing import Route

from otel_ml._report import bin_text
from otel_ml.console.storage import _models
from otel_ml.console.web import _assets, _formats, _query_parameters
from otel_ml.console.web._attention import ERROR_SHARE
from otel_ml.console.web._query_parameters import BadParameterError
from otel_ml.console.web._view import NAMES, RANGES, PageView, view

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_ml.console.web._query_runner import QueryRunner

    Page = Callable[[Request], Awaitable[Response]]

PAGES: Final = {
    "/": "Overview",
    "/model": "Model",
    "/data": "Data",
    "/performance": "Performance",
    "/predictions": "Predictions",
    "/requests": "Requests",
    "/logs": "Logs",
    "/metrics": "Metrics",
    "/resources": "Resources",
    "/health": "Health",
}
"""The pages that the navigation leads to."""
OF_ONE_MODEL: Final = frozenset({"/model", "/data", "/performance"})
"""Pages about one model; without a model in the address they show the one with the most traffic."""
PLACE: Final = "after"
"""The parameter with the place in a list, which another model or range does not have."""
_SENTENCES: Final = {400: "This address has a mistake", 404: "Not found"}
"""What a page with one sentence is called."""
_TEMPLATES: Final = Path(__file__).parent / "templates"


class Frame:
    """Renders the pages."""

    def __init__(self, reader: QueryRunner, *, has_login: bool = False, prefix: str = "") -> None:
        self.reader = reader
        self._has_login = has_login
        self._prefix = prefix
        self.static = _assets.prefix()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_formats.shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= _formats.FILTERS | {"bin": bin_text}
        self._templates.globals |= {
            "static": self.static,
            "has_login": has_login,
            "has_library": _assets.LIBRARY.is_file(),
            "pages": PAGES,
            "of_one_model": OF_ONE_MODEL,
            "ranges": RANGES,
            "error_share": ERROR_SHARE,
        }

    def route(self, path: str, page: Page) -> Route:
        """Returns the route of a page; a wrong parameter is answered with a sentence."""

        @functools.wraps(page)
        async def answer(request: Request) -> Response:
            try:
                return await page(request)
            except BadParameterError as bad:
                return self.message(400, str(bad))

        return Route(path, answer, methods=["GET"])

    async def view(self, request: Request, known: Collection[str] = (), repeated: Collection[str] = ()) -> PageView:
        """Returns model and range of a request, whose page knows further parameters.

        Raises:
            BadParameterError: A parameter is unknown or wrong.
        """
        _query_parameters.check(request.query_params, (*NAMES, *known), repeated)
        given = request.query_params.get("range") or request.query_params.get("from")
        now_ns = time.time_ns()
        default = "1h" if given else await self.reader.read(_models.default_range, now_ns)
        return view(request.query_params, now_ns, default)

    async def view_of_model(self, request: Request, known: Collection[str] = ()) -> PageView:
        """Returns the same for a page about one model; without one in the address, the model with the most events."""
        found = await self.view(request, known)
        return found if found.model else found.of(await self.reader.read(_models.busiest))

    async def render(self, request: Request, template: str, shown: PageView, /, **values: Any) -> Response:
        """Returns a page about a view."""
        # the bar of a page about one record leads to the list
        given = request.query_params.multi_items() if request.url.path in PAGES else []
        kept = [(name, text) for name, text in given if name not in (*NAMES, PLACE) and text]
        models = await self.reader.read(_models.names)
        is_unknown = shown.model is not None and shown.model not in models and len(models) < _models.MODELS_LIMIT
        return self._answer(
            template, 200, view=shown, models=models, is_unknown=is_unknown, here=request.url.path, kept=kept,
            is_live=shown.is_live, command=self._command(request), **values,
        )  # fmt: skip

    def message(self, status: int, text: str) -> Response:
        """Returns a page with one sentence."""
        anything = view(QueryParams(), time.time_ns(), "1h")
        return self._answer(
            "message.html", status, view=anything, models=[], here="", kept=[], is_live=False,
            title=_SENTENCES.get(status, "The console failed"), text=text,
        )  # fmt: skip

    def standalone(self, template: str, status: int, **values: Any) -> Response:
        """Returns a page without the bar."""
        return self._answer(template, status, **values)

    def _command(self, request: Request) -> str:
        """Returns what starts a service that sends to this console, at the address under which the reader has it."""
        scheme, host = "https" if is_secure(request) else "http", request.headers.get("host", "127.0.0.1")
        token = ' OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer <token>"' if self._has_login else ""
        return f"OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://{host}{self._prefix}{token} python service.py"

    def _answer(self, template: str, status: int, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), status)


def is_secure(request: Request) -> bool:
    """Whether a browser reached the console, or the proxy before it, over TLS."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()}
