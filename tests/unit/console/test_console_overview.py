"""The overview and the page of a model without a browser: time ranges, counters, histograms, what needs attention."""

from __future__ import annotations

import html
import re
import time

import pytest
from console_feed import IDENTITY, SPAN, counter, failure, label, logs, metrics, now, pairs, prediction, span, traces
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram as Wire
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric
from performance_feed import gauge, outcomes
from starlette.datastructures import QueryParams

from otel_ml import semconv
from otel_ml.console.storage import _counted, _traffic
from otel_ml.console.storage._histograms import Histogram, histograms
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage._time_range import TimeRange
from otel_ml.console.web._attention import alerts
from otel_ml.console.web._overview_rows import verdicts
from otel_ml.console.web._query_parameters import BadParameterError
from otel_ml.console.web._view import view
from otel_ml.console.web.charts._model_events import events

SECOND = 10**9
HOUR = 3600 * SECOND


def durations(buckets, *, at=None, start=None, temporality=2, name=semconv.PREDICTION_DURATION.name, **of):
    """A histogram with the bounds 0.01 and 0.1."""
    point = HistogramDataPoint(
        start_time_unix_nano=start or now() - HOUR, time_unix_nano=at or now(), count=sum(buckets), sum=0.02 * sum(buckets),
        bucket_counts=buckets, explicit_bounds=[0.01, 0.1], attributes=pairs({**IDENTITY, **of}),
    )  # fmt: skip
    return Metric(name=name, histogram=Wire(data_points=[point], aggregation_temporality=temporality))


def page(console, path):
    """The text of a page without its tags."""
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", " ", console.send(path).body.decode())))


def test_a_range_has_whole_steps():
    """Steps begin at multiples of the step; the last counts as far as it has passed, and not in its first 3 s."""
    range_ = TimeRange.of(7 * SECOND, 27 * SECOND, 5 * SECOND)
    assert [start // SECOND for start in range_.starts] == [5, 10, 15, 20]
    longer = TimeRange.of(7 * SECOND, 28 * SECOND, 5 * SECOND)
    assert [start // SECOND for start in longer.starts] == [5, 10, 15, 20, 25]
    assert [longer.seconds(start) for start in longer.starts[-2:]] == [5.0, 3.0]


def test_a_view_is_its_address():
    """Model and range, or start and end, come back in the links of a page."""
    found = view(QueryParams("model=a%2Fb%20c&range=6h"), now(), "1h")
    assert found.link("/data") == "/data?model=a%2Fb+c&range=6h"
    fixed = view(QueryParams("from=2026-01-01T10:00&to=2026-01-01T10:20"), now(), "1h")
    assert (fixed.is_live, fixed.window.step_ns // SECOND, len(fixed.window.starts)) == (False, 30, 40)
    assert fixed.link("/", model="m") == (
        "/?model=m&from=2026-01-01T10%3A00%3A00.000000Z&to=2026-01-01T10%3A20%3A00.000000Z"
    )
    assert view(QueryParams(""), now(), "5m").range == "5m"


@pytest.mark.parametrize(
    ("ages", "name"),
    [
        ([30], "5m"), ([200, 1], "5m"), ([320, 1], "15m"), ([280], "15m"), ([700, 1], "15m"), ([880], "1h"),
        ([200_000, 1], "1h"), ([3500], "6h"), ([9000], "6h"), ([40_000], "24h"), ([80_000], "3d"), ([200_000], "3d"),
    ],
)  # fmt: skip
def test_a_page_without_a_range_has_the_newest_record_and_keeps_it(console, ages, name):
    """A store that received nothing for a while opens with a range that has its newest record (Arize-ai/phoenix#9900).

    It does not leave the range while a reader goes on from page to page.
    """
    console.feed(logs(*(prediction(f"p-{age}", at=time.time_ns() - age * SECOND) for age in ages)))
    chosen = re.search(r'<option value="(\w+)" selected', console.send("/").body.decode().split("Time <select")[1])
    assert chosen[1] == name


@pytest.mark.parametrize("query", ["range=2h", "from=x", "from=2026-01-02&to=2026-01-01"])
def test_a_wrong_range_is_refused(console, query):
    """A range that is unknown, unreadable or reversed is answered with 400 and a sentence."""
    with pytest.raises(BadParameterError):
        view(QueryParams(query), now(), "1h")
    answer = console.send(f"/model?{query}")
    assert answer.status == 400
    assert b"Back to the overview" in answer.body


@pytest.mark.parametrize(
    ("buckets", "total", "share", "expected"),
    [
        ((10, 0, 0), 0.05, 0.5, 0.005), ((50, 50, 0), 3.0, 0.75, 0.055), ((0, 0, 9), 2.0, 0.5, 0.1),
        ((0, 0, 0), 0.0, 0.5, None), ((), 0.0, 0.5, None),
        ((10, 0, 0), 0.0002, 0.5, 0.00004), ((10, 0, 0), 0.0002, 0.95, 0.0004), ((10, 0, 0), 0.0, 0.5, 0.005),
    ],
)  # fmt: skip
def test_quantiles_of_buckets(buckets, total, share, expected):
    """A quantile lies even within its bucket, at most where the mean allows it; above the last bound it is that bound.

    Ten calls of 20 µs on average have no median of 5 ms. Without a sum there is no mean.
    """
    found = Histogram(sum(buckets), total, (0.01, 0.1) if buckets else (), buckets).quantile(share)
    assert found == (None if expected is None else pytest.approx(expected))


def test_histograms_of_replicas_and_restarts_add_up(console):
    """What was counted before the range does not count; increments and restarts are added."""
    early = now() - 80 * HOUR
    console.feed(
        metrics(durations([5, 5, 0])),
        metrics(durations([1, 0, 0], at=now() - 1, start=now() - 2 * HOUR), instance="restarted"),
        metrics(durations([2, 0, 0], start=now() - HOUR), instance="restarted"),
        metrics(durations([100, 0, 0], at=now() - HOUR, start=early), instance="old"),
        metrics(durations([101, 0, 0], start=early), instance="old"),
        metrics(durations([1, 1, 1], at=now() - 1, start=now() - 2, temporality=1), instance="delta"),
        metrics(durations([1, 0, 0], start=early, temporality=1), instance="delta"),
    )
    with console.store.cursor() as cursor:
        found = histograms(
            cursor, semconv.PREDICTION_DURATION.name, Span("fraud", now() - 10 * HOUR), semconv.MODEL_NAME
        )
    assert found["fraud"].buckets == (5 + 1 + 2 + 1 + 1 + 1, 5 + 1, 1)
    assert found["fraud"].times == 18


def test_a_model_without_events_is_counted_by_its_metrics(console):
    """Traffic, errors and durations of a service that exports no events are those of its counters."""
    failed = {**IDENTITY, semconv.ERROR_TYPE: "ValueError"}
    cancelled = {**IDENTITY, semconv.ERROR_TYPE: semconv.CANCELLED}
    console.feed(
        metrics(
            counter(300, start=now() - SECOND), durations([240, 60, 10]),
            counter(9, name=semconv.PREDICTION_ERRORS.name, attributes=failed, start=now() - SECOND),
            counter(1, name=semconv.PREDICTION_ERRORS.name, attributes=cancelled, start=now() - SECOND),
        )
    )  # fmt: skip
    found = page(console, "/?range=3d")
    assert "2.9 % of calls fail 9 of 310 calls" in found
    assert " 300 2.9 % 6.46 ms / 91.8 ms / 100 ms" in found
    model = page(console, "/model?model=fraud&range=3d")
    assert "Most predictions of this time have no event" in model
    assert "300 in 310 calls" in model


def test_events_are_the_source_if_there_is_one_for_each_prediction(console):
    """With as many events as predictions, the exact durations of the events are shown."""
    console.feed(logs(*(prediction(f"p-{index}") for index in range(10))), metrics(counter(10, start=now() - SECOND)))
    assert " 10 0.0 % 4.00 ms / 4.00 ms / 4.00 ms" in page(console, "/?range=1h")
    assert "have no event" not in page(console, "/model?range=1h")
    assert [_counted.is_sample({"rows": 10}, {"rows": rows}) for rows in (20, 21)] == [False, True]


def test_what_is_cancelled_is_no_error(console):
    """A call that the client gave up is a call, and no error."""
    console.feed(logs(prediction("p-1", attributes={semconv.ERROR_TYPE: semconv.CANCELLED}), prediction("p-2")))
    with console.store.cursor() as cursor:
        row = _traffic.by_model(cursor, TimeRange.of(now() - HOUR, now() + HOUR, SECOND))[0]
    assert (row["calls"], row["rows"], row["errors"]) == (2, 1, 0)


def test_only_what_is_beyond_noise_needs_attention():
    """A figure that is no worse than in training raises nothing; an estimate that is worse is uncertain."""
    nothing = {"model": "m", "calls": 1000, "errors": 10, "changed": {}, "realised": None, "estimate": None}
    assert alerts([nothing], [{"service": "s", "requests": 100, "errors": 1}]) == []
    figures = {"figure": "accuracy", "value": 0.8, "training": 0.85, "is_beyond_noise": False, "gap": None}
    chance, worse = figures | {"is_worse": False}, figures | {"is_worse": True}
    assert alerts([nothing | {"realised": chance, "estimate": chance}], []) == []
    assert [alert.kind for alert in alerts([nothing | {"realised": worse, "estimate": worse}], [])] == ["bad", "warn"]


def test_the_worst_comes_first():
    """What is bad stands before what is uncertain, whichever model it is of."""
    row = {"calls": 0, "errors": 0, "changed": {}, "realised": None, "estimate": None}
    gap = {"figure": "f1", "value": 0.5, "is_worse": False, "is_beyond_noise": True, "gap": 0.1}
    rows = [row | {"model": "a", "estimate": gap}, row | {"model": "b", "changed": {"age": "out_of_range"}}]
    assert [(alert.subject, alert.text, alert.why) for alert in alerts(rows, [])] == [
        ("b", "1 feature changed", "age has values out of range"),
        ("a", "a score no longer means what it did in training", "labels and estimate differ by 0.100"),
    ]


def test_many_changed_features_are_counted():
    """Three features are named; one without a finding has not changed, whatever its verdict."""
    found = verdicts(
        [{"feature": name, "findings": [semconv.MISSING], "verdict": semconv.MISSING} for name in "abcdea"]
        + [{"feature": "f", "findings": [], "verdict": "too_few"}]
    )
    assert (len(found["changed"]), found["known"]) == (5, 6)
    row = {"model": "m", "calls": 0, "errors": 0, "changed": found["changed"], "realised": None, "estimate": None}
    (alert,) = alerts([row], [])
    assert alert.text == "5 features changed"
    assert alert.why == "a, b and c have missing values, and 2 more"


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"a": "unseen", "b": "drifted"}, "a has unseen values, b drifted"),
        ({"a": "absent", "b": "drifted", "c": "absent"}, "a and c no longer arrive, b drifted"),
        ({semconv.PREDICTION_FEATURE: "out_of_range"}, "predicted values have values out of range"),
        ({semconv.LABEL_FEATURE: "unseen", "a": "invalid"}, "labels have unseen values, a has values of another type"),
        (dict.fromkeys("abcd", "drifted"), "a, b and c drifted, and 1 more"),
    ],
)
def test_features_of_one_verdict_share_a_sentence(changed, wanted):
    """A line about a model says each thing that happened once, with the features that it happened to."""
    row = {"model": "m", "calls": 0, "errors": 0, "changed": changed, "realised": None, "estimate": None}
    assert [alert.why for alert in alerts([row], [])] == [wanted]


def test_a_service_without_a_model_is_shown(console):
    """Its requests, errors and refused requests come from spans; one that only logs is there as well."""
    own = [
        span(own=f"{index + 1:016x}", error=index == 0, attributes={"http.response.status_code": status})
        for index, status in enumerate((503, 422, 200, 200))
    ]
    console.feed(traces(*own, service="web"), logs(label("x", "1"), service="labels"))
    found = page(console, "/?range=1h")
    assert "web 4 25.0 % 1 4.00 ms" in found
    sent = html.unescape(console.send("/?range=1h").body.decode())
    own = "/requests?range=1h&service=web"
    links = [own + more for more in ("&failed=true", "", "&failed=true", "&status_code=4")]
    assert re.findall(r'href="(/requests\?range=1h&s[^"]*)"', sent) == links
    assert "No model has predicted in this time" in found


def test_what_happens_at_one_moment_has_one_letter():
    """The charts show a letter at each moment, where a second one would be drawn over the first."""
    window = TimeRange.of(now() - HOUR, now(), 60 * SECOND)
    errors = [
        {"error_type": name, "first_ns": now() - at} for name, at in (("A", HOUR // 2), ("B", HOUR // 2), ("C", 1))
    ]
    found = [(event["letter"], event["text"]) for event in events([], errors, [], window)]
    assert found == [("A", "first A"), ("A", "first B"), ("B", "first C")]


def test_a_version_is_new_if_another_one_was_there_before():
    """A version that starts within a step of the first one is not new, such as a canary that starts with the service."""
    window = TimeRange.of(now() - HOUR, now(), 60 * SECOND)
    begun = (("1.0.0", 0), ("1.1.0", 60), ("2.0.0", 61))
    rows = [{"version": name, "role": "", "first_ns": now() - HOUR // 2 + after * SECOND} for name, after in begun]
    assert [event["text"] for event in events(rows, [], [], window)] == ["version 2.0.0 is new"]


def test_stages_come_from_histograms(console):
    """The stage with the most time is the first."""
    name = semconv.PREDICTION_STAGE_DURATION.name
    stages = [durations([3, 0, 0], name=name, **{semconv.STAGE_NAME: "fast"})]
    stages += [durations([0, 4, 0], name=name, **{semconv.STAGE_NAME: "slow"})]
    console.feed(metrics(*stages))
    with console.store.cursor() as cursor:
        rows = _counted.stages(cursor, Span("fraud", now() - 2 * HOUR))
    assert [(row["stage"], row["calls"], row["mean"]) for row in rows] == [("slow", 4, 0.02), ("fast", 3, 0.02)]


def test_many_models_fit_on_a_page(console):
    """A page stays below 100 KiB; the models that need attention are shown, of the others as many as fit."""
    events = [
        prediction(f"p-{index}-{number}", at=now() - number * 10 * SECOND,
                   attributes={semconv.MODEL_NAME: f"model-{index:02}"})
        for index in range(60) for number in range(2)
    ]  # fmt: skip
    console.feed(logs(*events))
    for index in range(60):
        console.feed(traces(span(own=f"{index + 1:016x}"), service=f"service-{index:02}"))
    failed = {**IDENTITY, semconv.MODEL_NAME: "model-59", semconv.ERROR_TYPE: "ValueError"}
    console.feed(logs(*(prediction(f"f-{index}", attributes=failed) for index in range(5))))
    body = console.send("/?range=1h").body
    assert len(body) < 100 * 1024
    rows = re.findall(r"<strong>(model-\d\d)</strong></a><span", body.decode())
    assert (rows[:2], len(rows)) == (["model-59", "model-00"], 25)
    assert b"35 more models" in body


def test_a_page_that_fails_says_so(console):
    """An error of our own is a page with the security headers, and no text of the error."""
    console.store.close()
    answer = console.send("/?range=1h")
    assert (answer.status, b"Failed." in answer.body) == (500, True)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_durations_that_are_no_numbers_are_left_out(console):
    """Durations and scores that are not finite are shown nowhere, and break no page: dgraph-io/ratel#59."""
    odd = ({semconv.PREDICTION_DURATION_ATTRIBUTE: each} for each in (float("nan"), float("inf"), -float("inf")))
    records = [prediction(f"p-{index}", score=float("nan")) for index in range(3)]
    for log, attributes in zip(records, odd, strict=True):
        for pair in log.attributes:
            if pair.key in attributes:
                pair.value.double_value = attributes[pair.key]
    console.feed(logs(*records))
    for path in ("/", "/model"):
        found = page(console, f"{path}?range=1h")
        assert not re.search(r"\b(nan|inf|NaN|Infinity)\b", found)


def test_a_model_page_says_when_its_data_changed(console):
    """A feature that was as in training and then was not is an event at that time; one that never was is none."""
    for moment, bins in ((now() - 2000 * SECOND, (500, 500, 10)), (now() - 60 * SECOND, (600, 5000, 20))):
        found = [
            counter(times, name=semconv.FEATURE_VALUES.name, at=moment, start=now() - 2500 * SECOND,
                    attributes={**IDENTITY, **feature_bin(name, bin_)})
            for name, low in (("age", bins[0]), ("always", bins[2]))
            for bin_, times in (("low", low), ("high", bins[1]))
        ]  # fmt: skip
        shares = [gauge(semconv.FEATURE_REFERENCE_SHARE, 0.5, feature_bin(name, bin_))
                  for name in ("age", "always") for bin_ in ("low", "high")]  # fmt: skip
        sizes = [gauge(semconv.FEATURE_REFERENCE_SIZE, 10_000, feature_bin(name)) for name in ("age", "always")]
        console.feed(metrics(*found, *shares, *sizes))
    console.feed(logs(*(prediction(f"p-{index}", at=now() - index * SECOND) for index in range(5))))
    console.feed(logs(failure("f-1", "TimeoutError", at=now() - 20 * SECOND)))
    newer = {semconv.MODEL_VERSION: "2.0.0", semconv.MODEL_ROLE: "canary"}
    console.feed(
        logs(prediction("old", at=now() - 2000 * SECOND), prediction("c", at=now() - 30 * SECOND, attributes=newer))
    )
    text = console.send("/model?model=fraud&range=1h").body.decode()
    items = re.findall(r'<span class="letter">(.)</span><time[^>]*>[^<]*</time> ([^<]*)</li>', text)
    assert items == [("A", "age drifted"), ("B", "version 2.0.0 canary is new"), ("C", "first TimeoutError")]


def feature_bin(name, bin_=None):
    """The attributes of a feature, or of one of its bins."""
    found = {semconv.FEATURE_NAME: name, semconv.PROFILE_ID: "p"}
    return found if bin_ is None else {**found, semconv.FEATURE_BIN: bin_}


def table(console, title, path="/model?model=fraud&range=1h"):
    """The rows of a chart's table."""
    figure = re.search(rf"<h2>{title}</h2>.*?</figure>", console.send(path).body.decode(), re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", figure, re.DOTALL)
    return [[re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)] for row in rows]


def test_charts_show_shares(console):
    """Scores are shares of a version's predictions, errors of the calls; of many classes the rarest are one."""
    counts = {"a": 6, "b": 5, "c": 4, "d": 3, "e": 2, "f": 1, "g": 1}
    events = [
        prediction(f"{name}-{index}", outcome=name, score=0.97 if name == "a" else 0.01, at=now() - 120 * SECOND)
        for name, times in counts.items()
        for index in range(times)
    ]
    console.feed(logs(*events, *(failure(f"failed-{index}", at=now() - 120 * SECOND) for index in range(2))))
    scores = table(console, "Scores")
    assert (scores[1], scores[20]) == (["0.00", "72.7 %"], ["0.95", "27.3 %"])
    assert ["8.3 %"] in [row[1:] for row in table(console, "Errors")]
    classes = table(console, "Classes")
    assert classes[0] == ["Time", "a", "b", "c", "d", "e", "others"]
    assert ["27.3 %", "22.7 %", "18.2 %", "13.6 %", "9.1 %", "9.1 %"] in [row[1:] for row in classes]


def test_the_figure_of_a_model_is_that_of_its_primary_version(console):
    """A canary with more traffic does not stand for the model."""
    canary = {**IDENTITY, semconv.MODEL_VERSION: "2.0.0", semconv.MODEL_ROLE: "canary"}
    events = (prediction(f"c-{index}", attributes=canary) for index in range(9))
    worse = outcomes({("1", "0"): 900, ("1", "1"): 100}, identity=canary, start=now() - SECOND)
    console.feed(logs(prediction("p-1"), *events), metrics(*outcomes(start=now() - SECOND), *worse))
    assert "accuracy 0.800 " in page(console, "/?range=1h")


def test_a_bad_version_does_not_hide_behind_the_one_that_it_replaces(console):
    """The new version has fewer calls; the overview names it, shows its figure and leads to its page."""
    new = {**IDENTITY, semconv.MODEL_VERSION: "2.0.0"}
    reference = [gauge(semconv.EVAL_REFERENCE, 0.8, {**of, semconv.EVAL_FIGURE: "accuracy"}) for of in (IDENTITY, new)]
    worse = outcomes({("1", "0"): 90, ("1", "1"): 60}, identity=new, start=now() - SECOND)
    events = [prediction("n-1", attributes={semconv.MODEL_VERSION: "2.0.0"}), *map(prediction, ("p-1", "p-2"))]
    console.feed(logs(*events), metrics(*outcomes(start=now() - SECOND), *worse, *reference))
    shown = page(console, "/?range=1h")
    assert "fraud accuracy is 0.400 version 2.0.0; training 0.800; beyond noise" in shown
    link = re.search(r'href="(/performance[^"]*)"><span class="what">', console.send("/?range=1h").body.decode())
    assert "0.400" in console.send(link[1].replace("&amp;", "&")).body.decode()
    assert "Accuracy 0.400 2.0.0, training 0.800" in page(console, "/model?model=fraud&range=1h")
    assert "Accuracy 0.400" in page(console, "/performance?model=fraud&range=1h")


@pytest.mark.parametrize(
    ("accuracy", "rows", "is_red"), [(0.9, 0, True), (0.9, 5000, True), (0.9, 100, False), (0.83, 0, False)]
)
def test_a_figure_that_is_worse_than_in_training_is_red(console, accuracy, rows, is_red):
    """Red is what chance does not explain; training of 100 rows leaves more to chance than one of 5,000."""
    reference = gauge(semconv.EVAL_REFERENCE, accuracy, {semconv.EVAL_FIGURE: "accuracy"})
    size = [gauge(semconv.EVAL_REFERENCE_SIZE, rows, {})] if rows else []
    console.feed(logs(prediction("p-1")), metrics(*outcomes(start=now() - SECOND), reference, *size))
    pages = {path: console.send(f"{path}?model=fraud&range=1h").body.decode() for path in ("/model", "/performance")}
    assert ('<a class=error href="/performance' in console.send("/?range=1h").body.decode()) == is_red
    assert ["<div class=bad><dt>Accuracy" in each for each in pages.values()] == [is_red, is_red]
    report = console.send("/report?model=fraud&range=1h").body.decode()
    assert ("accuracy 0.800 is worse than" in report) == is_red


def test_a_request_is_what_enters_a_service(console):
    """Spans below a request are no requests."""
    console.feed(traces(span("GET /"), span("query", own="ab" * 8, parent=SPAN), service="web"))
    assert "web 1 0.0 % 0 " in page(console, "/?range=1h")


def test_a_long_version_is_cut_and_has_the_whole_on_hover(console):
    """A version that is a digest has its whole text in the title; a short one needs none."""
    long = "sha256:" + "0123456789abcdef" * 4
    for version in (long, "1.0.0"):
        console.feed(
            logs(prediction(version[:8], attributes={semconv.MODEL_VERSION: version, semconv.MODEL_ROLE: "canary"}))
        )
    shown = console.send("/").body.decode()
    assert f'<span class="tag" title="{long} canary">{long} canary</span>' in shown
    assert '<span class="tag">1.0.0 canary</span>' in shown
