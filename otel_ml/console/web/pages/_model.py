"""One model: traffic, errors, durations, scores, classes, stages, and its versions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml.console.performance._counts import ModelVersion
from otel_ml.console.performance._summary import summaries
from otel_ml.console.storage import _counted, _feature_verdicts, _traffic
from otel_ml.console.web._overview_rows import verdicts
from otel_ml.console.web.charts._model_charts import (
    classes_table,
    heat_table,
    rate_table,
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


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def model(request: Request) -> Response:
        view = await frame.view_of_model(request)
        found = await frame.reader.read(_read, view.window, view.span)
        return await frame.render(request, "model.html", view, title=f"Model {view.model or ''}".strip(), **found)

    return [frame.route("/model", model)]


def _read(cursor: duckdb.DuckDBPyConnection, window: TimeRange, wanted: Span) -> dict[str, Any]:
    name = wanted.model or ""
    total, versions = _traffic.by_version(cursor, window, name)
    errors = _traffic.errors(cursor, window, name)
    steps = _traffic.latency_over_time(cursor, window, name)
    data = _feature_verdicts.features_over_time(cursor, wanted, period_edges(window))
    figures = summaries(cursor, wanted)
    unknown = {"realised": None, "estimate": None}
    return {
        "versions": [
            row | figures.get(ModelVersion(name, row["version"] or "", row["role"] or ""), unknown) for row in versions
        ],
        "errors": errors,
        "events": events(versions, errors, data, window),
        "data": verdicts(_feature_verdicts.features(cursor, wanted)),
        **_totals(cursor, window, wanted, (total, versions)),
        "latency": step_table(steps, window, lambda row: row["latency"], 3),
        "batches": step_table(steps, window, lambda row: [row["batch_mean"], row["batch_max"]], 2),
        "heat": heat_table(_traffic.durations(cursor, window, name), window),
        "scores": score_table(_traffic.scores(cursor, window, name), versions),
        "classes": classes_table(_traffic.classes(cursor, window, name), window),
        "stages": _counted.stages(cursor, wanted),
    }


def _totals(
    cursor: duckdb.DuckDBPyConnection, window: TimeRange, wanted: Span,
    events: tuple[dict[str, Any] | None, list[dict[str, Any]]],
) -> dict[str, Any]:  # fmt: skip
    """Returns all of the range, and traffic and errors over time; from counters if the events are a sample."""
    name = wanted.model or ""
    total, versions = events
    found = version_table(_traffic.versions_over_time(cursor, window, name), versions, window)
    counters = _counted.counted(cursor, window, wanted).get(name)
    if counters is None or not _counted.is_sample(total, counters):
        return {"total": total, "traffic": found, "is_sample": False}
    return {
        "total": counters,
        "traffic": found | {"rates": rate_table(counters["steps"], window)},
        "is_sample": True,
    }
