"""The performance of a model: what labels, scores, segments and other versions say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.performance._label_lags import lags
from otel_ml.console.performance._performance import performance
from otel_ml.console.web.charts import _performance_charts as charts
from otel_ml.console.web.charts._bins import link_segments

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame
    from otel_ml.console.web._view import PageView

_SEGMENTS_SHOWN: Final = 100
_IN_STRIP: Final = ("accuracy", "exact_match", "f1", "auc", "ece", "mae", "rmse", "bias", "ndcg", "hit_rate")


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def shown_performance(request: Request) -> Response:
        view = await frame.view_of_model(request, ("version", "role", "score_of"))
        found = await frame.reader.read(performance, view.span)
        version = _chosen(found["versions"], request.query_params)
        given: dict[str, Any] = {"version": version, "links": [], "lags": []}
        if version is not None:
            names = (view.model or "", version["version"], version["role"])
            given["lags"] = await frame.reader.read(lags, view.window, *names)
            given |= _drawn(view, version, found["period_edges"], request.query_params)
            given["links"] = [(each, _link(view, each), each is version) for each in found["versions"]]
        return await frame.render(
            request, "performance.html", view, title="Performance", comparisons=found["comparisons"],
            segments_shown=_SEGMENTS_SHOWN, lag_text=charts.lag_text, **given,
        )  # fmt: skip

    return [frame.route("/performance", shown_performance)]


def _chosen(versions: list[dict[str, Any]], wanted: QueryParams) -> dict[str, Any] | None:
    """Returns the version of the address, else as on the overview: a primary one, worse than in training if one is."""
    asked = {name: wanted[name] for name in ("version", "role") if wanted.get(name)}
    fitting = [each for each in versions if all(each[name] == asked[name] for name in asked)]
    return max(fitting or versions, key=_first, default=None)


def _first(version: dict[str, Any]) -> tuple[bool, bool, float]:
    is_worse = any(row["is_worse"] for row in version["figures"])
    return version["role"] in {"", "primary"}, is_worse, _labels(version)


def _labels(version: dict[str, Any]) -> float:
    return max((row["labels"] for row in version["figures"]), default=0.0)


def _link(view: PageView, version: dict[str, Any]) -> str:
    return view.link("/performance", version=version["version"], role=version["role"])


def _drawn(view: PageView, version: dict[str, Any], edges: list[str], wanted: QueryParams) -> dict[str, Any]:
    """Returns the parts of the page about one version."""
    of = {"version": version["version"], "role": version["role"]}
    link_segments(view, version["segments"], _SEGMENTS_SHOWN, **of)
    scored = [*version["calibration"]]
    name = wanted.get("score_of") if wanted.get("score_of") in scored else next(iter(scored), None)
    accuracy = charts.accuracy_table(version, edges[:-1])
    by_figure = {row["figure"]: row for row in version["figures"]}

    def cell(actual: str, predicted: str) -> str | None:
        if semconv.OTHER in {actual, predicted}:
            return None
        return view.link("/predictions", **of, **{"class": predicted, "label": actual})

    return {
        "strip": [by_figure[each] for each in _IN_STRIP if each in by_figure][:6],
        "accuracy": accuracy,
        "scale": charts.scale_start(accuracy),
        "matrix": charts.matrix(version),
        "cell": cell,
        "score_of": name,
        "scored": [(each, view.link("/performance", **of, score_of=each)) for each in scored],
        "calibration": None if name is None else charts.calibration_table(version["calibration"][name]),
        "errors": charts.error_table(version["errors"]),
    }
