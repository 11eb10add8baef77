"""The table of the JSON API: path, meaning, parameters and query of each operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.performance._performance import HOURS, performance
from otel_ml.console.storage import (
    _charts,
    _feature_verdicts,
    _queries,
    _senders,
)
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage.lists import _log_list, _prediction_list, _prediction_rows, _request_list
from otel_ml.console.storage.lists._prediction_filter import TRUTHS, PredictionFilter
from otel_ml.console.web import _parameters as of
from otel_ml.console.web._overview_rows import overview
from otel_ml.console.web.details import _explained

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
    of.TRACE_ID,
    of.text("class", "predicted class", field="outcome"),
    of.text("label", "newest label"),
    of.choice("truth", "what the newest label says of the prediction", TRUTHS),
    of.flag("failed", "whether the call failed"),
    of.text("error_type", "type of the error of a failed call"),
    of.number("min_score", "at least this score"),
    of.number("max_score", "at most this score"),
    *of.DURATIONS,
    of.FEATURE,
    of.SEGMENT,
)
"""What a list of predictions can be narrowed by; of a batch one row has to fit."""
REQUEST_FILTER: Final = (
    of.text("model", "only services that serve this model; their requests without a prediction too"),
    of.SERVICE,
    of.text("text", "text in the name or in an attribute, such as a route"),
    of.flag("failed", "whether the status of the span is an error"),
    of.text("status_code", "status code of HTTP, or how it begins: 422, 5; calls by gRPC have that of a gateway"),
    of.flag("predicted", "whether its trace has a prediction"),
    *of.DURATIONS,
    of.SINCE,
    of.UNTIL,
)
"""What a list of requests can be narrowed by."""
LOG_FILTER: Final = (
    of.choice("kind", "only lines, predictions or labels", _log_list.TABLES),
    of.choice("level", "this level and those above", _log_list.LEVELS),
    of.text("text", "text in the body, and of an error in its attributes, in upper or lower case"),
    of.SERVICE,
    of.text("model", "only of services that predict with this model"),
    of.TRACE_ID,
    of.text("prediction_id", "id of a prediction"),
    of.SINCE,
    of.UNTIL,
)
_WINDOW: Final = (of.SINCE, of.UNTIL)
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
    return _prediction_list.predictions(cursor, PredictionFilter(**given))


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


def _overview(cursor: Any, since_ns: int | None, until_ns: int | None) -> Any:
    return overview(cursor, *_span(None, since_ns, until_ns, _feature_verdicts.HOURS)[1:])


def _features(cursor: Any, model: str | None, feature: str | None, **window: int | None) -> Any:
    span = _span(model, window["since_ns"], window["until_ns"], _feature_verdicts.HOURS)
    if feature is None:
        return {"features": _feature_verdicts.features(cursor, span)}
    found = _feature_verdicts.features_with_bins(cursor, span, (), 0, feature)
    return {"features": [row for row in found if row["feature"] == feature]}


def _performance(cursor: Any, model: str, since_ns: int | None, until_ns: int | None) -> Any:
    span = _span(model, since_ns, until_ns, HOURS)
    return {"since": _queries.moment(span.oldest_ns), **performance(cursor, span)}


def _span(model: str | None, since_ns: int | None, until_ns: int | None, hours: int) -> Span:
    """Returns what is read; without a start the last hours before the end."""
    end_ns = time.time_ns() if until_ns is None else until_ns
    return Span(model, end_ns - hours * 3600 * 10**9 if since_ns is None else since_ns, until_ns)


def _rows(cursor: Any, **given: Any) -> Any:
    return _prediction_rows.rows(cursor, _prediction_rows.RowFilter(**given))


OPERATIONS: Final = (
    Operation(
        "/api/overview",
        "What needs attention, every model and every service; without `since` over the last day",
        "`attention`, the worst first, each with the `page` that shows it; `models` with traffic, durations, verdict "
        "on the data and performance; `services` with their requests",
        _WINDOW,
        _overview,
    ),
    Operation(
        "/api/predictions",
        "Predictions, the newest first",
        "`predictions` with their labels, and `next`. If output, score, features or label are asked for, "
        "`fitting_rows` of a batch says how many of its rows fit, and has the first 20",
        (*PREDICTION_FILTER, of.LIMIT, of.AFTER),
        _predictions,
    ),
    Operation(
        "/api/predictions/{id}",
        "One prediction",
        "the event with features and output, its trace, log lines and labels; `training`, the share of each value in "
        "training, the unusual first; `exceptions`; `withheld`, what is not there and why. For the id of a batch row "
        "(its own, or `<id>.<i>`), the batch. An event has the first 100 rows: `rows_omitted` counts the others, and "
        "`row_omitted` is true for one of them. `versions` are all that predicted under this id; the primary "
        "answers unless the parameters say otherwise",
        (of.MODEL, of.VERSION, of.ROLE),
        _explained.prediction,
    ),
    Operation(
        "/api/requests",
        "Requests, the newest first",
        "`requests`, one for each span that has no parent in its process, with or without a prediction, and for a "
        "trace without such a span its first one, 30 s after it arrived; and `next`",
        (*REQUEST_FILTER, of.LIMIT, of.AFTER),
        _requests,
    ),
    Operation(
        "/api/traces/{trace_id}",
        "One trace",
        "its `spans`, oldest first, `truncated` if there are more than 1,000; `exceptions` (the first 100), "
        "`predictions` and `logs`",
        (),
        lambda cursor, trace_id: _explained.trace(cursor, of.TRACE_ID.value([trace_id])),
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
        "The verdict on each feature; without `since` over the last day",
        "`features`, the most severe first, with PSI, its noise, and the shares that are missing, invalid, unseen and "
        "out of range; of one feature also `bins`, live beside reference",
        (of.MODEL, of.text("feature", "name of one feature"), *_WINDOW),
        _features,
    ),
    Operation(
        "/api/performance",
        "Performance for each version and role; without `since` over the last 72 hours",
        "each part only if there is data",
        (of.ONE_MODEL, *_WINDOW),
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
