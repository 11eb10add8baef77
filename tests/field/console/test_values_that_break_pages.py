"""Values that are made to break what reads them."""

from __future__ import annotations

import csv
import io
import json
import math
import sys

import duckdb
import pandas as pd
import pyarrow.csv
import pytest
from console_feed import IDENTITY, counter, label, logs, metrics, now, pairs, prediction, record
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from otel_ml import semconv

LISTS = (
    "/api/predictions?feature=note%3Dx", "/api/predictions?class=1", "/api/predictions?min_score=0.1",
    "/api/predictions?segment=note%3Dx", "/api/rows?model=fraud", "/api/export/predictions?format=csv",
    "/api/export/predictions?format=json", "/api/export/predictions?format=parquet", "/api/logs",
    "/predictions?range=1h&model=fraud&column=features&column=id", "/predictions?range=1h&model=fraud&feature=note%3Dx",
)  # fmt: skip
DEEP = "[" * 900 + "]" * 900


KINDS = ("gauge", "sum", "histogram")


def of_kind(kind, name, figure, at, attributes):
    """A metric of a kind with one figure."""
    given = {"time_unix_nano": at, "start_time_unix_nano": now() - 10**9, "attributes": attributes}
    if kind == "histogram":
        point = HistogramDataPoint(count=3, sum=figure, explicit_bounds=[1.0], bucket_counts=[1, 2], **given)
        return Metric(name=name, histogram=Histogram(data_points=[point], aggregation_temporality=2))
    point = NumberDataPoint(as_double=figure, **given)
    if kind == "gauge":
        return Metric(name=name, gauge=Gauge(data_points=[point]))
    return Metric(name=name, sum=Sum(data_points=[point], aggregation_temporality=2, is_monotonic=True))


def event(own_id, body, **more):
    """A prediction whose body is a text as it is."""
    attributes = {semconv.PREDICTION_ID: own_id, semconv.PREDICTION_CLASS: "1", semconv.PREDICTION_SCORE_ATTRIBUTE: 0.5}
    return record(body, IDENTITY | attributes | more, event=semconv.PREDICTION_EVENT)


@pytest.mark.parametrize(
    ("own_id", "body", "shown"),
    [
        ("half", r'{"features": {"note": "x\ud800"}, "prediction": "\udc00\ud800"}', {"note": "x\ufffd"}),
        ("half-name", r'{"features": {"x\uDFFF": "\\ud800 \ud83d\ude00"}}', {"x\ufffd": r"\ud800 " + "\U0001f600"}),
        ("deep", f'{{"features": {{"note": {DEEP}}}}}', None),
    ],
)
def test_one_event_does_not_take_the_lists_away(console, own_id, body, shown):
    """Half of a character or a very deep value in one event is shown as well as it can be; lists, filters and exports
    have all events (dgtlmoon/changedetection.io#4293).
    """
    row = body.replace('{"features"', f'{{"id": "{own_id}-row\\ud800", "features"', 1)
    size = {semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE: 1}
    console.feed(
        logs(
            event(own_id, body),
            event(f"{own_id}-rows", f'{{"rows": [{row}]}}', **size),
            prediction("plain", own="bb" * 8),
        )
    )
    found = console.get(f"/api/predictions/{own_id}")
    assert shown in (None, found["event"]["features"])
    for path in (
        *(f"{each}/predictions/{own_id}{row}" for each in ("", "/api") for row in ("", "-rows", "-row%EF%BF%BD")),
        *LISTS,
    ):
        assert console.send(path).status == 200, path
    exported = json.loads(console.send("/api/export/predictions?format=json").body)
    assert {each["batch_id"] or each["id"] for each in exported} >= {own_id, f"{own_id}-rows", "plain"}


@pytest.mark.parametrize("page", ["/", "/model", "/data", "/performance"])
def test_a_range_of_years_has_a_chart(console, page):
    """Any range has at most as many steps as a chart can show (prometheus/prometheus#1968)."""
    console.feed(metrics(counter(7)), logs(prediction()))
    answer = console.send(f"{page}?model=fraud&from=1970-01-01&to=2262-01-01")
    assert (answer.status, len(answer.body) < 100 << 10) == (200, True)


PAGES = (
    "/?range=1h", "/model?range=1h", "/data?range=1h", "/performance?range=1h", "/resources?range=1h", "/health", "/report?range=1h",
    "/metrics?range=1h", "/api/senders", "/api/summary", "/api/metrics", "/api/features?model=fraud",
)  # fmt: skip


@pytest.mark.parametrize("figure", [math.nan, -math.inf, 1e308, 8.0, -0.3, 0.0])
def test_a_figure_that_is_none_breaks_no_page(console, figure):
    """A sender divides by zero: of any metric that the pages know, NaN, infinity, what is beyond all measure, shares
    above 1 and counts below 0 are left out, and labels that are lists are texts (argoproj/argo-rollouts#2758).
    """
    some = pairs(
        {
            semconv.MODEL_NAME: "fraud",
            semconv.FEATURE_NAME: "age",
            semconv.FEATURE_BIN: "0 [0, 1)",
        }
    )
    a_list = AnyValue(array_value={"values": [AnyValue(int_value=1)]})
    some += [KeyValue(key=name, value=a_list) for name in (semconv.RULE_NAME, semconv.SYSTEM_MEMORY_STATE)]
    known = [each for each in vars(semconv).values() if isinstance(each, semconv.Metric)]
    console.feed(
        *(
            metrics(*(of_kind(kind, each.name, figure, now() + at, some) for kind in KINDS for each in known))
            for at in range(2)
        )
    )
    for path in PAGES:
        assert console.send(path).status == 200, path


@pytest.mark.parametrize("figure", [sys.float_info.max, -sys.float_info.max, 1e301])
@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_float_breaks_no_chart(console, kind, figure):
    """Senders write the largest float for what has no limit: its metric has a page, and its chart leaves it out."""
    name = f"limit.{kind}.{figure}"
    console.feed(*(metrics(of_kind(kind, name, figure, now() - at * 600 * 10**9, [])) for at in range(3)))
    for path in (f"/metrics?range=1h&name={name}", f"/metrics?range=1h&text={name}", f"/api/series?name={name}"):
        assert console.send(path.replace("+", "%2B")).status == 200, path


def test_a_spreadsheet_runs_nothing_of_a_csv_file(console):
    """Texts that a spreadsheet would take for a formula begin with an apostrophe, and numbers stay as they are; JSON
    has all as it was (PostHog/posthog#54162).
    """
    console.feed(logs(prediction("=1+1", outcome="-1"), label("=1+1", "@SUM(1)", correct=False)))
    csv_row = next(
        csv.DictReader(io.StringIO(console.send("/api/export/predictions?id=%3D1").body.decode("utf-8-sig")))
    )
    assert (csv_row["id"], csv_row["class"], csv_row["label"]) == ("'=1+1", "-1", "'@SUM(1)")
    row = console.send("/api/export/predictions?id=%3D1&format=json").json()[0]
    assert (row["id"], row["label"]) == ("=1+1", "@SUM(1)")


def test_a_spreadsheet_reads_all_letters_of_a_csv_file(console, tmp_path):
    """The file says that it is UTF-8, which Excel asks for, and the libraries read its columns and letters alike.

    Sources: lightdash/lightdash#10214, metabase/metabase#3271, getodk/central#752.
    """
    console.feed(logs(prediction("bom", outcome="Zürich 東京")))
    file = tmp_path / "predictions.csv"
    file.write_bytes(console.send("/api/export/predictions?id=bom").body)
    assert file.read_bytes().startswith(b"\xef\xbb\xbfid,")
    frame, table = pd.read_csv(file), pyarrow.csv.read_csv(file)
    assert [frame["id"][0], frame["class"][0]] == ["bom", "Zürich 東京"]
    assert [table["id"][0].as_py(), table["class"][0].as_py()] == ["bom", "Zürich 東京"]
    assert duckdb.read_csv(str(file)).select("id", "class").fetchall() == [("bom", "Zürich 東京")]


def test_a_label_that_is_a_number_is_no_flag(console):
    """The label `cpu=1` reads as 1, and its filter finds the series (Agenta-AI/agenta#4666)."""
    console.feed(
        metrics(counter(7, name="cpu.time", attributes={"cpu": 1}), counter(9, name="cpu.time", attributes={"cpu": 0}))
    )
    shown = console.send("/metrics?range=1h&name=cpu.time").body.decode()
    assert 'label=cpu%3D1">1</a>' in shown
    assert len(console.get("/api/series?name=cpu.time&label=cpu%3D1")["metrics"][0]["series"]) == 1
