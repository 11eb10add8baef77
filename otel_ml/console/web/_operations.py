"""The table of the JSON API: path, meaning, parameters and query of each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.performance._performance import HOURS, performance
from otel_ml.console.storage import (
    _charts,
    _feature_verdicts,
    _prediction_detail,
    _prediction_rows,
    _queries,
    _senders,
)
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage.lists import _log_list, _prediction_list, _request_list
from otel_ml.console.web import _parameters as of

if TYPE_CHECKING:
    from otel_ml.console.web._parameters import Parameter

PREDICTION_FILTER: Final = (
    of.MODEL,
    of.VERSION,
    of.ROLE,
    of.SERVICE,
    of.SINCE,
    of.UNTIL,
    of.text("id", "how the id begins"),
    of.text("class", "predicted class", field="outcome"),
    of.text("label", "newest label"),
    of.choice("truth", "what the newest label says of the prediction", _prediction_list.TRUTHS),
    of.flag("failed", "whether the call failed"),
    of.text("error_type", "type of the error of a failed call"),
    of.number("min_score", "at least this score"),
    of.number("max_score", "at most this score"),
    *of.DURATIONS,
    of.FEATURE,
)
"""What a list of predictions can be narrowed by; of a batch one row has to fit."""
REQUEST_FILTER: Final = (
    of.text("model", "only services that serve this model; their requests without a prediction too"),
    of.SERVICE,
    of.text("text", "text in the name or in an attribute, such as a route"),
    of.flag("failed", "whether the status of the span is an error"),
    of.text("status_code", "status code of HTTP, or how it begins: 422, 5"),
    of.flag("predicted", "whether its trace has a prediction"),
    *of.DURATIONS,
    of.SINCE,
    of.UNTIL,
)
"""What a list of requests can be narrowed by."""
LOG_FILTER: Final = (
    of.choice("kind", "only lines, predictions or labels", _log_list.TABLES),
    of.choice("level", "this level and those above", _log_list.LEVELS),
    of.text("text", "text in the body, in upper or lower case"),
    of.SERVICE,
    of.text("model", "only of services that predict with this model"),
    of.TRACE_ID,
    of.text("prediction_id", "id of a prediction"),
    of.SINCE,
    of.UNTIL,
)
_CHART: Final = (
    of.SERVICE,
    of.MODEL,
    of.LABEL,
    of.SINCE,
    of.UNTIL,
    of.whole("steps", "points of a series", 1, 1000, default=120),
)


class Operation(NamedTuple):
    """One path of the API."""

    path: str
    summary: str
    answer: str
    """What the answer has, one sentence for the document."""
    parameters: tuple[Parameter, ...]
    query: Callable[..., Any]
    """Called with a cursor and the values of parameters and path; None is answered with 404."""
    media: tuple[str, ...] = ("application/json",)


def _predictions(cursor: Any, **given: Any) -> Any:
    return _prediction_list.predictions(cursor, _prediction_list.PredictionFilter(**given))


def _requests(cursor: Any, **given: Any) -> Any:
    return _request_list.requests(cursor, _request_list.RequestFilter(**given))


def _logs(cursor: Any, **given: Any) -> Any:
    return _log_list.logs(cursor, _log_list.LogFilter(**given))


def _metrics(cursor: Any, name: str | None, limit: int) -> Any:
    if name is None:
        return {"metrics": _queries.series(cursor)}
    return {"name": name, "points": _queries.points(cursor, name, limit)}


def _series(cursor: Any, **given: Any) -> Any:
    return _charts.charts(cursor, _charts.ChartFilter(**given))


def _resources(cursor: Any, **given: Any) -> Any:
    return _charts.charts(cursor, _charts.ChartFilter(prefixes=_charts.RESOURCES, **given))


def _features(cursor: Any, model: str | None) -> Any:
    return {"features": _feature_verdicts.features(cursor, Span.last_hours(_feature_verdicts.HOURS, model))}


def _performance(cursor: Any, model: str) -> Any:
    return {"hours": HOURS, **performance(cursor, Span.last_hours(HOURS, model))}


def _rows(cursor: Any, **given: Any) -> Any:
    return _prediction_rows.rows(cursor, _prediction_rows.RowFilter(**given))


OPERATIONS: Final = (
    Operation(
        "/api/predictions",
        "Predictions, the newest first",
        "`predictions` with their labels, and `next`",
        (*PREDICTION_FILTER, of.LIMIT, of.AFTER),
        _predictions,
    ),
    Operation(
        "/api/predictions/{id}",
        "One prediction",
        "the event with features and output, its trace, log lines and labels; for the id of a batch row (its own, or "
        "`<id>.<i>`), the batch. An event has the first 100 rows: `rows_omitted` counts the others, and `row_omitted` "
        "is true for one of them",
        (),
        _prediction_detail.prediction,
    ),
    Operation(
        "/api/requests",
        "Requests, the newest first",
        "`requests`, one for each span that has no parent in its process, with or without a prediction, and `next`",
        (*REQUEST_FILTER, of.LIMIT, of.AFTER),
        _requests,
    ),
    Operation(
        "/api/traces/{trace_id}",
        "One trace",
        "its `spans`, oldest first; `truncated` if there are more than 1,000",
        (),
        lambda cursor, trace_id: _queries.trace(cursor, of.TRACE_ID.value([trace_id])),
    ),
    Operation(
        "/api/logs",
        "Log records, the newest first",
        "`logs`: lines, predictions and labels, and `next`",
        (*LOG_FILTER, of.LIMIT, of.AFTER),
        _logs,
    ),
    Operation(
        "/api/metrics",
        "Every metric with its series, or the points of one",
        "`metrics` with the newest value of each series; with a name the newest `points`",
        (of.text("name", "name of a metric"), of.LIMIT),
        _metrics,
    ),
    Operation(
        "/api/series",
        "The series of a metric over time",
        "`times`, and for each series figures in as many steps: `value`, `min`, `max` of a gauge; `rate` a second of a "
        "counter; `rate`, `mean`, `p50`, `p95`, `p99` of a histogram",
        (of.text("name", "name of a metric", is_required=True), *_CHART),
        _series,
    ),
    Operation(
        "/api/resources",
        "CPU, memory, disk, network, pressure and GPUs over time",
        "as `/api/series`, of all metrics of machines, processes and containers",
        _CHART,
        _resources,
    ),
    Operation(
        "/api/senders",
        "The ledger of each sender",
        "`senders` with what each produced for each signal: delivered, rejected, dropped by reason, in flight",
        (),
        _senders.senders,
    ),
    Operation(
        "/api/summary",
        "Counts over all stored records",
        "predictions, events, errors, traces, metric_predictions, labels, accuracy",
        (of.MODEL,),
        _queries.summary,
    ),
    Operation(
        "/api/features",
        "The verdict on each feature over the last day",
        "`features`, the most severe first, with PSI, its noise, and the shares that are missing, invalid, unseen and "
        "out of range",
        (of.MODEL,),
        _features,
    ),
    Operation(
        "/api/performance",
        "Performance over the last 72 hours, for each version and role",
        "each part only if there is data",
        (of.ONE_MODEL,),
        _performance,
    ),
    Operation(
        "/api/rows",
        "Features, output, score and newest label of each predicted row, oldest first",
        "`rows` of 200 events, and `next`. `otel-ml profile --from-console` reads them",
        (of.ONE_MODEL, of.VERSION, of.ROLE, of.SINCE, of.UNTIL, of.AFTER),
        _rows,
    ),
)
