"""Queries: joins, counts, second deliveries, parameters."""

from __future__ import annotations

import json

import pytest
from console_feed import (
    SPAN,
    TRACE,
    batch,
    counter,
    failure,
    label,
    logs,
    metrics,
    now,
    prediction,
    record,
    span,
    traces,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, HistogramDataPoint, Metric

OTHER = "1af7651916cd43dd8448eb211c80319d"


def test_one_prediction_with_trace_features_log_and_label(console):
    """A prediction is found with its spans, its event, its log lines by either id, and its label."""
    console.feed(
        traces(span(), span("preprocess", own="aa" * 8, parent=SPAN, seconds=0.001)),
        logs(
            prediction(features={"age": 41, "amount": 12.5}),
            record("scoring started"),
            record("by id", {"ml.prediction.id": "p-1"}, trace="", own="", at=now() + 1),
            record("someone else's", trace=OTHER),
        ),
        logs(label(value="0", correct=False, at=now() + 5)),
    )
    found = console.get("/api/predictions/p-1")
    assert found["prediction"] | {"time": None, "label": None} == {
        "id": "p-1", "time": None, "class": "1", "model": "fraud", "version": "1.0.0", "role": "primary",
        "value": None, "score": 0.93, "duration": 0.004, "batch_size": None, "error_type": None, "failed": False,
        "trace_id": TRACE, "span_id": SPAN, "service_name": "fraud-api", "label": None,
    }  # fmt: skip
    assert found["event"]["features"] == {"age": 41, "amount": 12.5}
    assert [one["name"] for one in found["trace"]["spans"]] == ["predict fraud", "preprocess"]
    assert [line["body"] for line in found["logs"]] == ["scoring started", "by id"]
    assert (found["label"]["value"], found["label"]["correct"]) == ("0", False)


def test_a_prediction_leads_to_those_beside_it(console):
    """A prediction names the one before and the one after it of its model, also among those of one moment."""
    other = {"ml.model.name": "other"}
    console.feed(
        logs(*(prediction(name, at=now() + place // 2) for place, name in enumerate("abcd"))),
        logs(prediction("x", attributes=other, at=now() + 1)),
    )
    order = [row["id"] for row in console.get("/api/predictions?model=fraud")["predictions"]]
    for place, name in enumerate(order):
        older = order[place + 1] if place + 1 < len(order) else None
        newer = order[place - 1] if place else None
        assert console.get(f"/api/predictions/{name}")["neighbours"] == {"older": older, "newer": newer}
    assert console.get("/api/predictions/x")["neighbours"] == {"older": None, "newer": None}


@pytest.mark.parametrize("reverse", [False, True])
def test_label_and_prediction_are_joined_in_either_order(console, reverse):
    """A label that arrives before its prediction is joined like one that arrives after it."""
    messages = [logs(prediction()), logs(label())]
    console.feed(*(reversed(messages) if reverse else messages))
    (row,) = console.get("/api/predictions")["predictions"]
    assert (row["label"]["value"], row["label"]["correct"]) == ("1", True)


def test_the_newest_label_counts(console):
    """A revised label replaces the earlier one, whichever arrives first."""
    console.feed(logs(prediction(), label(value="0", correct=False, at=now() + 9)), logs(label(at=now() + 5)))
    assert console.get("/api/predictions")["predictions"][0]["label"]["value"] == "0"
    summary = console.get("/api/summary")
    assert (summary["labels"], summary["accuracy"]) == (1, 0.0)


def test_a_second_delivery_changes_nothing(console):
    """A record that arrives again is counted as a duplicate and stored once; equal lines of one request are two."""
    messages = (
        traces(span(), span()),
        logs(prediction(), label(), record("line"), record("line")),
        metrics(counter(1), counter(1)),
    )
    console.feed(*messages)
    first = console.get("/api/summary")
    console.feed(*messages)
    assert console.get("/api/summary") == first
    status = console.get("/api/status")
    assert {name: status[name] for name in ("received", "stored", "duplicates", "dropped", "queued")} == {
        "received": 16,
        "stored": 6,
        "duplicates": 10,
        "dropped": 0,
        "queued": 0,
    }


def test_an_event_enriched_on_its_way_is_the_same_event(console):
    """An event that a Collector forwards with more resource attributes is recognised by id, trace and time."""
    console.feed(logs(prediction()), logs(prediction(), service="fraud-api-enriched"))
    assert console.get("/api/summary")["events"] == 1


def test_an_id_used_again_is_another_event(console):
    """Two calls with one id are both stored; the newer one is shown."""
    console.feed(logs(prediction(score=0.1)), logs(prediction(score=0.2, trace=OTHER, at=now() + 1000)))
    assert console.get("/api/summary")["events"] == 2
    assert console.get("/api/predictions/p-1")["prediction"]["score"] == 0.2


def test_summary_counts_rows_events_spans_metrics_and_labels(console):
    """The summary counts batch rows as predictions, failed calls as errors only, and cancelled calls as no errors."""
    console.feed(
        traces(span(), span(own="bb" * 8), span("GET /predict", own="cc" * 8)),
        logs(prediction(), batch(size=3), failure(), failure("c-1", "cancelled", severity=9)),
        logs(label(), label("b-1.0", "1", correct=False), label("b-1.1", "3.5", correct=None)),
        metrics(counter(2), counter(3, at=now() + 10), counter(1, name="other")),
        metrics(counter(1), instance="two"),
    )
    assert console.get("/api/summary") | {"newest": None} == {
        "predictions": 4, "events": 4, "errors": 1, "error_rate": 0.25, "duration_p95": 0.004, "traces": 2,
        "metric_predictions": 4, "labels": 3, "accuracy": 0.5, "newest": None,
    }  # fmt: skip
    assert console.get("/api/summary?model=none")["accuracy"] is None


def test_a_restart_adds_to_the_counter(console):
    """A series with a new start time is another run, whose count is added; deltas are summed."""
    console.feed(
        metrics(counter(5)),
        metrics(counter(2, start=now(), at=now() + 10)),
        metrics(counter(1, temporality=1, attributes={"d": "x"})),
        metrics(counter(1, temporality=1, at=now() + 10, attributes={"d": "x"})),
    )
    assert console.get("/api/summary")["metric_predictions"] == 9


def test_a_row_of_a_batch_leads_to_its_batch(console):
    """`<id>.<i>` shows the batch's event, the features of row i and the label of row i."""
    console.feed(logs(batch(size=3), label("b-1.1", "0")))
    found = console.get("/api/predictions/b-1.1")
    assert (found["prediction"]["id"], found["row"], found["event"]["features"]) == ("b-1", 1, {"age": 21})
    assert found["label"]["value"] == "0"
    assert console.send("/api/predictions/b-1.9").status == 404
    assert console.send("/predictions/b-1.1").status == 200
    console.feed(logs(prediction()))
    assert console.send("/api/predictions/p-1.0").status == 404


def test_a_row_with_an_id_of_its_own_leads_to_its_batch(console):
    """Rows with their own ids are found by them, with their features and their label."""
    event = batch(size=2)
    rows = [{"id": f"customer {name}", "features": {"name": name}} for name in ("\u00e4", '"b"')]
    event.body.string_value = json.dumps({"rows": rows})
    console.feed(logs(event, label('customer "b"', "0")))
    found = console.get("/api/predictions/customer%20%22b%22")
    assert (found["prediction"]["id"], found["row"], found["event"]["features"]) == ("b-1", 1, {"name": '"b"'})
    assert found["label"]["value"] == "0"
    assert console.get("/api/predictions/customer%20%C3%A4")["row"] == 0
    assert console.send("/api/predictions/customer").status == 404
    text = console.send("/predictions/b-1").body.decode()
    assert "/predictions/customer%20%22b%22" in text


def test_a_label_without_a_trace_is_joined_by_id(console):
    """A label without a trace still finds its prediction; one of another trace does not."""
    console.feed(logs(prediction(), label(value="0", correct=False, trace="", own="")))
    console.feed(logs(label(value="7", trace=OTHER, at=now() + 9)))
    assert console.get("/api/predictions")["predictions"][0]["label"]["value"] == "0"
    assert console.get("/api/predictions/p-1")["label"]["value"] == "0"


def test_a_failed_call_shows_its_error(console):
    """A failed prediction has its error type, and `failed` is set."""
    console.feed(traces(span(error=True)), logs(failure()))
    (row,) = console.get("/api/predictions")["predictions"]
    assert (row["failed"], row["error_type"], row["class"]) == (True, "ValueError", None)


def test_predictions_are_filtered_and_newest_first(console):
    """Model, version, time and limit narrow the list."""
    console.feed(
        logs(
            prediction("old", at=now() - 10**12),
            prediction("new", at=now()),
            prediction("other", attributes={"ml.model.version": "2.0.0"}, at=now() - 10**9),
        )
    )

    def ids(query):
        return [row["id"] for row in console.get(f"/api/predictions?{query}")["predictions"]]

    assert ids("") == ["new", "other", "old"]
    assert ids("limit=1") == ["new"]
    assert ids("model=fraud&limit=2") == ["new", "other"]
    assert ids("model=nobody") == []
    assert ids(f"since={now() / 1e9 - 60}") == ["new", "other"]
    assert ids("since=2100-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/predictions?limit=0",
        "/api/predictions?limit=1001",
        "/api/predictions?limit=%D9%A3",
        "/api/predictions?limit=1&limit=2",
        "/api/predictions?since=yesterday",
        "/api/predictions?since=nan",
        "/api/predictions?since=-1",
        "/api/predictions?model=" + "m" * 600,
        "/api/predictions?colour=red",
        "/api/traces/xyz",
        "/api/logs?trace_id=1",
        "/api/metrics?limit=many",
    ],
)
def test_bad_parameters_get_one_line(console, path):
    """A wrong parameter is a 400 with one line of JSON."""
    answer = console.send(path)
    assert (answer.status, list(answer.json())) == (400, ["error"])
    assert b"\n" not in answer.body


@pytest.mark.parametrize("path", ["/api/predictions/nothing", f"/api/traces/{TRACE}", "/api/nothing"])
def test_unknown_resources_are_404(console, path):
    """Unknown ids and paths are a 404 with one line of JSON."""
    answer = console.send(path)
    assert (answer.status, answer.json()) == (404, {"error": "not found"})


def test_ids_may_have_any_characters(console):
    """A prediction id with slashes, spaces and quotes is found by its encoded path."""
    console.feed(logs(prediction("a/b ?#'\"<i>")))
    path = "/predictions/a%2Fb%20%3F%23%27%22%3Ci%3E"
    assert console.get("/api" + path)["prediction"]["id"] == "a/b ?#'\"<i>"
    assert path in console.send("/predictions").body.decode()
    assert console.send(path).status == 200


def test_logs_are_filtered_by_trace_and_prediction(console):
    """The log query returns plain lines and events, newest first."""
    console.feed(
        logs(
            record("one", at=now() - 5), prediction(), record("two", trace=OTHER), record("", {"ml.prediction.id": "z"})
        )
    )
    assert [line["event_name"] for line in console.get(f"/api/logs?trace_id={TRACE}&limit=9")["logs"]][-1] is None
    assert [line["body"] for line in console.get(f"/api/logs?trace_id={OTHER}")["logs"]] == ["two"]
    assert len(console.get("/api/logs?prediction_id=z")["logs"]) == 1
    assert len(console.get("/api/logs?limit=2")["logs"]) == 2


def test_metrics_have_latest_values_and_points(console):
    """Numbers and distributions are listed with the latest value of each series and can be read point by point."""
    point = HistogramDataPoint(
        time_unix_nano=now(), count=3, sum=0.3, min=0.1, max=0.1, explicit_bounds=[0.1], bucket_counts=[1, 2]
    )
    bare = HistogramDataPoint(time_unix_nano=now() + 1, count=4)
    histogram = Metric(name="h", unit="s", histogram=Histogram(data_points=[point, bare], aggregation_temporality=2))
    console.feed(metrics(counter(2), histogram), metrics(counter(7, at=now() + 10)))
    listed = {metric["name"]: metric for metric in console.get("/api/metrics")["metrics"]}
    assert [one["value"] for one in listed["ml.predictions"]["series"]] == [7.0]
    assert (listed["h"]["kind"], listed["h"]["unit"], listed["h"]["series"][0]["count"]) == ("histogram", "s", 4)
    newest, first = console.get("/api/metrics?name=h")["points"]
    assert (newest["sum"], newest["min"]) == (None, None)
    assert (first["count"], first["sum"], first["min"]) == (3, 0.3, 0.1)
    assert first["detail"] == {"bounds": [0.1], "buckets": ["1", "2"]} or first["detail"]["buckets"] == [1, 2]


def test_a_series_that_ended_has_no_value(console):
    """A point with the flag for no recorded value is stored without a figure."""
    metric = counter(0)
    metric.sum.data_points[0].flags = 1
    console.feed(metrics(metric))
    assert console.get("/api/metrics?name=ml.predictions")["points"][0]["value"] is None
    assert console.get("/api/summary")["metric_predictions"] == 0


def test_a_body_that_is_not_json_is_shown_as_text(console):
    """An event whose body cannot be parsed has no features and keeps its text."""
    event = prediction()
    event.body.string_value = "[" * 5000
    console.feed(logs(event))
    found = console.get("/api/predictions/p-1")
    assert (found["event"]["features"], found["event"]["body"]) == (None, "[" * 5000)
    event = prediction("p-2")
    event.body.string_value = json.dumps([1])
    console.feed(logs(event))
    assert console.get("/api/predictions/p-2")["event"]["features"] is None
    assert console.send("/predictions/p-2").status == 200


def test_an_event_without_an_id_is_a_log_line(console):
    """An event without a prediction id stays a plain log record."""
    console.feed(logs(record("{}", event="ml.prediction")))
    assert console.get("/api/summary")["events"] == 0
    assert len(console.get("/api/logs")["logs"]) == 1
