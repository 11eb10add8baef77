"""Everything that a page can show, with a name in each text of a sender that a browser must not read as HTML."""

from __future__ import annotations

import json

import pages_feed
from console_feed import (
    IDENTITY,
    SPAN,
    TRACE,
    batch,
    counter,
    failure,
    label,
    logs,
    metrics,
    now,
    pairs,
    record,
    span,
    traces,
)
from google.protobuf.json_format import MessageToJson, Parse
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint
from performance_feed import pair_counts, scores, segments

from otel_ml import semconv

HOSTILE = "<img src=x onerror='window.canary=1'>{{7*7}}\u202e" + "w" * 90
"""Behind each of the names: HTML, a template, a change of direction, and no place for a line break."""
NAMES = (
    "fraud", "2.0.0", "income", "occupation", "TimeoutError", "region", "north", "preprocess", "shop.cache", "eth0", "POST /",
    "ValueError", "scoring", "Traceback",
)  # fmt: skip
STORED = HOSTILE.replace("\u202e", "\ufffd")
MODEL, FEATURE, METRIC = "fraud" + STORED, "income" + STORED, "shop.cache" + STORED
SECOND = 10**9


def hostile(message):
    """The message with the hostile text behind each of the names."""
    text, behind = MessageToJson(message, ensure_ascii=True), json.dumps(HOSTILE)[1:-1]
    # a JSON text in a text: its backslashes are escaped twice
    inner = json.dumps(behind)[1:-1]
    lines = []
    for line in text.splitlines():
        for name in NAMES:
            line = line.replace(name, name + (inner if '\\"' in line else behind))
        lines.append(line)
    return Parse("\n".join(lines), type(message)())


def level(name: str, value: float, step: int, **labels: str) -> Metric:
    """A point of a gauge; each step is five seconds."""
    at = now() - (20 - step) * 5 * SECOND
    point = NumberDataPoint(time_unix_nano=at, as_double=value, attributes=pairs(labels))
    return Metric(name=name, unit="By", gauge=Gauge(data_points=[point]))


def failed_request():
    """The spans of a request that failed in the model, with a link and the exception."""
    for own, parent in (("c1" * 8, ""), ("c2" * 8, "c1" * 8)):
        made = span(
            "predict fraud" if parent else "POST /predict", trace="33" * 16, own=own, parent=parent, error=True,
            attributes={**IDENTITY, semconv.HTTP_RESPONSE_STATUS_CODE: 500, "note": "income"},
        )  # fmt: skip
        made.kind = 1 if parent else 2
        event = made.events.add(name="exception", time_unix_nano=made.start_time_unix_nano)
        event.attributes.extend(
            pairs({"exception.type": "ValueError", "exception.message": "income", "exception.stacktrace": "Traceback"})
        )
        made.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN))
        yield made


def messages():
    """Two models' worth of pages, a trace with an exception, log lines, segments, machines and a sender that drops."""
    regions = {"north": {"tp": 50, "tn": 50, "fp": 50, "fn": 50}, "south": {"tp": 300, "tn": 300, "fp": 30, "fn": 30}}
    dropped = {semconv.SIGNAL: "traces", semconv.DROP_REASON: "queue_full"}
    return [
        *pages_feed.messages(),
        traces(*failed_request()),
        logs(
            batch("b-1", 3, own="bb" * 8), label("b-1.1", "1", correct=False, own="bb" * 8),
            failure("p-err", trace="33" * 16, own="c2" * 8),
            record("scoring of income", {"exception.stacktrace": "Traceback", "occupation": "x"}, severity=17),
        ),
        metrics(
            *scores([9] * 50, [7] * 50), *segments("region", regions), *pair_counts((300, 60, 90, 50), 400),
            counter(7, name=semconv.EXPORT_DROPPED.name, attributes=dropped),
        ),
        *(
            metrics(
                level("shop.cache", step, step, country="income"),
                level("system.memory.usage", 2.0**30, step, **{semconv.SYSTEM_MEMORY_STATE: "used"}),
                level("system.filesystem.utilization", 0.5, step, **{semconv.SYSTEM_FILESYSTEM_MOUNTPOINT: "/income"}),
            )
            for step in range(20)
        ),
    ]  # fmt: skip


def feed_hostile(console) -> None:
    """Sends all of it."""
    console.feed(*(hostile(message) for message in messages()))
