"""The web pages: rendered here, every value escaped, nothing loaded from another host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from otel_ml import semconv
from otel_ml.console.performance._performance import performance
from otel_ml.console.receiving._values import block, finite
from otel_ml.console.storage import _feature_verdicts, _prediction_detail, _prediction_list, _queries
from otel_ml.console.web import _query_parameters
from otel_ml.console.web._chart import chart
from otel_ml.console.web._query_parameters import BadParameterError
from otel_ml.console.web._waterfall import waterfall

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._query_runner import QueryRunner

_HERE = Path(__file__).parent
_SHOWN = 400
"""Characters of one value on the page."""
_FEATURES_SHOWN = 300
_ROWS_SHOWN = 100
_SEGMENTS_SHOWN = 100


class Pages:
    """The HTML pages of the console."""

    def __init__(self, reader: QueryRunner) -> None:
        self._reader = reader
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "seconds": seconds,
            "clock": clock,
            "count": lambda given: figure(round(given)),
            "figure": figure,
            "score": score,
            "share": share,
            "value": value,
            "path": lambda text: quote(str(text), safe=""),
        }

    def routes(self) -> list[BaseRoute]:
        """The routes of the pages."""
        return [
            Route("/", self._list, methods=["GET"]),
            Route("/predictions/{id:path}", self._one, methods=["GET"]),
            Route("/models/{model:path}", self._features, methods=["GET"]),
            Route("/performance/{model:path}", self._performance, methods=["GET"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]

    def message(self, status: int, text: str) -> Response:
        """A page with one sentence."""
        return self._render("message.html", status, title=f"{status}", text=text)

    async def _list(self, request: Request) -> Response:
        try:
            wanted = _query_parameters.prediction_filter(request.query_params, ("limit", "model", "version", "since"))
        except BadParameterError as bad:
            return self.message(400, str(bad))
        return self._render(
            "predictions.html",
            title="Predictions",
            predictions=(await self._reader.read(_prediction_list.predictions, wanted))["predictions"],
            summary=await self._reader.read(_queries.summary, wanted.model),
            models=await self._reader.read(_queries.models),
            wanted=wanted,
            address=f"http://{request.headers.get('host', '127.0.0.1')}",
        )

    async def _one(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        found = await self._reader.read(_prediction_detail.prediction, wanted)
        if found is None:
            return self.message(
                404,
                "No such prediction. It has not arrived yet, retention has deleted it, or it is a row beyond the first "
                f"{_ROWS_SHOWN} of a batch, which is not in the event and is found by its label only.",
            )
        features = list((found["event"]["features"] or {}).items())
        rows = found["event"]["rows"] or []
        shown = min(len(rows), _ROWS_SHOWN)
        trace = found["trace"]
        return self._render(
            "prediction.html",
            title=f"Prediction {wanted}",
            found=found,
            prediction=found["prediction"],
            wanted_id=wanted,
            features=features[:_FEATURES_SHOWN],
            features_hidden=max(0, len(features) - _FEATURES_SHOWN),
            rows=[
                (_prediction_detail.row_id(rows, index, found["prediction"]["id"]), rows[index])
                for index in range(shown)
            ],
            rows_hidden=len(rows) - shown + found["event"]["rows_omitted"],
            unpaired=unpaired_text(found["event"]["unpaired"]),
            labels={label["prediction_id"]: label for label in found["labels"]},
            bars=waterfall(trace["spans"]) if trace else [],
            exception_event=semconv.EXCEPTION_EVENT,
        )

    async def _features(self, request: Request) -> Response:
        model = request.path_params["model"]
        return self._render(
            "features.html",
            title=f"Features of {model}",
            model=model,
            hours=_feature_verdicts.HOURS,
            features=await self._reader.read(_feature_verdicts.features, model),
        )

    async def _performance(self, request: Request) -> Response:
        model = request.path_params["model"]
        found = await self._reader.read(performance, model)
        for each in found["versions"]:
            training = {row["figure"]: row["training"] for row in each["estimate"]}
            each["chart"] = chart(each["periods"], training.get("accuracy"))
        return self._render("performance.html", title=f"Performance of {model}", shown=_SEGMENTS_SHOWN, **found)

    def _render(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), status)


def unpaired_text(counts: Any) -> str | None:
    """What a batch has in different numbers, such as ``3 inputs, 2 outputs``; None if its parts go together."""
    if not isinstance(counts, dict):
        return None
    known = [(name, counts.get(name)) for name in ("inputs", "ids", "outputs")]
    return ", ".join(f"{count:,} {name}" for name, count in known if isinstance(count, int))


def seconds(given: float | None) -> str | None:
    """A duration with three significant figures and a fitting unit."""
    if given is None:
        return None
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(given) * factor >= 1:
            return f"{given * factor:.3g} {unit}" if abs(given) * factor < 1000 else f"{given * factor:.0f} {unit}"
    return f"{given * 1e9:.0f} ns" if given else "0 s"


def clock(moment: str) -> str:
    """The time of an ISO text to the millisecond."""
    return moment[:23].replace("T", " ")


def figure(given: float | None) -> str | None:
    """A number: whole ones with thousands separators, others with four significant figures."""
    if given is None:
        return None
    return f"{given:,}" if isinstance(given, int) else f"{given:.4g}"


def score(given: float | None) -> str | None:
    """A score with four decimals, so that a column lines up."""
    return None if given is None else f"{given:.4f}" if 0 <= given <= 1 else f"{given:.4g}"


def share(given: float | None) -> str | None:
    """A share as percent."""
    return None if given is None else f"{given * 100:.1f} %"


def value(given: Any) -> str | None:
    """Any plain value as short text."""
    if given is None or isinstance(given, str):
        return _short(given)
    return _short(json.dumps(finite(given), ensure_ascii=False))


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _SHOWN else text[:_SHOWN] + " …"


def _shown(given: Any) -> Any:
    if given is None:
        return "–"  # noqa: RUF001 - a dash for an unknown value
    if isinstance(given, str) and not isinstance(given, Markup):
        return block(given, len(given))
    return given
