"""One model: traffic, errors, durations, scores, classes, stages, and its versions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.performance._counts import ModelVersion
from otel_ml.console.performance._summary import summaries
from otel_ml.console.storage import _counted, _feature_verdicts
from otel_ml.console.storage._model_traffic import model_traffic
from otel_ml.console.web._overview_rows import main_figures, verdicts
from otel_ml.console.web.charts._model_charts import (
    classes_table,
    heat_table,
    score_table,
    step_table,
    version_table,
)
from otel_ml.console.web.charts._model_events import events, period_edges

if TYPE_CHECKING:
    import duckdb
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.storage._metric_points import Span
    from otel_ml.console.storage._time_range import TimeRange
    from otel_ml.console.web._frame import Frame

_JUDGED: Final = 60
"""Features that are judged over time, the most severe verdict first."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def model(request: Request) -> Response:
        view = await frame.view_of_model(request)
        found = await frame.reader.read(_read, view.window, view.span)
        title = f"Model {view.model or ''}".strip()
        return await frame.render(request, "model.html", view, title=title, **found)

    return [frame.route("/model", model)]


def _read(cursor: duckdb.DuckDBPyConnection, window: TimeRange, wanted: Span) -> dict[str, Any]:
    name = wanted.model or ""
    found = model_traffic(cursor, window, wanted)
    data = _feature_verdicts.features_with_bins(cursor, wanted, period_edges(window), _JUDGED)
    figures = summaries(cursor, wanted)
    unknown = {"realised": None, "estimate": None}
    sizes = ["mean"] if found.is_sample else ["mean", "largest"]
    return {
        "is_sample": found.is_sample,
        "total": found.total,
        "main": main_figures(name, found.versions, figures),
        "versions": [
            row | figures.get(ModelVersion(name, row["version"] or "", row["role"] or ""), unknown)
            for row in found.versions
        ],
        "errors": found.errors,
        "events": events(found.versions, found.errors, data, window),
        "data": verdicts(data),
        "traffic": version_table(found.over_time, found.versions, window),
        "latency": step_table(found.latency, window, lambda row: row["latency"], 3),
        "sizes": sizes,
        "batches": step_table(
            found.latency, window, lambda row: [row["batch_mean"], row["batch_max"]][: len(sizes)], len(sizes)
        ),
        "heat": heat_table(found.durations, window, found.band_start),
        "scores": score_table(found.scores, found.versions),
        "classes": classes_table(found.classes, window),
        "stages": _counted.stages(cursor, wanted),
    }
