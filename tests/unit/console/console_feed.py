"""OTLP messages, and a client that sends them to a console."""

from __future__ import annotations

import gzip
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, Sum
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_ml import semconv

PROTOBUF = "application/x-protobuf"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
IDENTITY = {semconv.MODEL_NAME: "fraud", semconv.MODEL_VERSION: "1.0.0", semconv.MODEL_ROLE: "primary"}
_moments: dict[str, int] = {}


def now() -> int:
    """Returns one moment for all tests of a module, at most ten seconds before the first of them that asks.

    A constant would be as old as the whole run, and what counts from it would leave the ranges of the pages.
    """
    module, _, test = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")
    if not test:
        raise RuntimeError("call now() in a test or a fixture: the moment of an import is as old as the run")
    if module not in _moments:
        _moments.clear()
        # what a test puts a second later is not in the future
        _moments[module] = time.time_ns() - 10 * 10**9
    return _moments[module]


def pairs(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    return AnyValue(string_value=value)


def traces(*spans: Span, service: str = "fraud-api") -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(pairs({semconv.SERVICE_NAME: service}))
    group.scope_spans.add().spans.extend(spans)
    return request


def logs(*records: LogRecord, service: str = "fraud-api") -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(pairs({semconv.SERVICE_NAME: service}))
    group.scope_logs.add().log_records.extend(records)
    return request


def metrics(*some: Metric, instance: str = "one") -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(pairs({semconv.SERVICE_INSTANCE_ID: instance}))
    group.scope_metrics.add().metrics.extend(some)
    return request


def span(
    name: str = "predict fraud", *, trace: str = TRACE, own: str = SPAN, parent: str = "", start: int | None = None,
    seconds: float = 0.004, error: bool = False, attributes: dict[str, Any] | None = None,
) -> Span:  # fmt: skip
    start = now() if start is None else start
    return Span(
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex(own),
        parent_span_id=bytes.fromhex(parent),
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(seconds * 1e9),
        status=Status(code=Status.STATUS_CODE_ERROR if error else Status.STATUS_CODE_UNSET),
        attributes=pairs(attributes or {}),
    )


def record(
    body: str, attributes: dict[str, Any] | None = None, *, event: str = "", trace: str = TRACE, own: str = SPAN,
    at: int | None = None, severity: int = 9,
) -> LogRecord:  # fmt: skip
    return LogRecord(
        time_unix_nano=now() if at is None else at,
        severity_number=severity,
        severity_text="ERROR" if severity >= 17 else "INFO",
        event_name=event,
        body=AnyValue(string_value=body),
        attributes=pairs(attributes or {}),
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex(own),
    )


def prediction(
    prediction_id: str = "p-1",
    *,
    features: dict[str, Any] | None = None,
    score: float = 0.93,
    outcome: str = "1",
    **more: Any,
) -> LogRecord:
    attributes = more.pop("attributes", {}) | {
        semconv.PREDICTION_ID: prediction_id,
        semconv.PREDICTION_CLASS: outcome,
        semconv.PREDICTION_SCORE_ATTRIBUTE: score,
        semconv.PREDICTION_DURATION_ATTRIBUTE: 0.004,
    }
    body = json.dumps({"features": features or {"age": 41}, "prediction": outcome, "score": score})
    return record(body, IDENTITY | attributes, event=semconv.PREDICTION_EVENT, **more)


def batch(prediction_id: str = "b-1", size: int = 3, **more: Any) -> LogRecord:
    rows = [{"features": {"age": 20 + index}, "prediction": "0", "score": 0.1} for index in range(size)]
    attributes = {semconv.PREDICTION_ID: prediction_id, semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE: size}
    return record(json.dumps({"rows": rows}), IDENTITY | attributes, event=semconv.PREDICTION_EVENT, **more)


def failure(
    prediction_id: str = "f-1", error_type: str = "ValueError", *, severity: int = 17, **more: Any
) -> LogRecord:
    attributes = IDENTITY | {semconv.PREDICTION_ID: prediction_id, semconv.ERROR_TYPE: error_type}
    return record("{}", attributes, event=semconv.PREDICTION_EVENT, severity=severity, **more)


def label(prediction_id: str = "p-1", value: str = "1", *, correct: bool | None = True, **more: Any) -> LogRecord:
    attributes = IDENTITY | {semconv.PREDICTION_ID: prediction_id, semconv.LABEL_VALUE: value}
    if correct is not None:
        attributes[semconv.LABEL_CORRECT] = correct
    return record("", attributes, event=semconv.LABEL_EVENT, **more)


def counter(
    value: int, *, name: str = semconv.PREDICTIONS.name, at: int | None = None, start: int | None = None,
    temporality: int = 2, attributes: dict[str, Any] | None = None,
) -> Metric:  # fmt: skip
    at = now() if at is None else at
    start = now() - 10**9 if start is None else start
    point = NumberDataPoint(
        as_int=value, time_unix_nano=at, start_time_unix_nano=start, attributes=pairs(attributes or IDENTITY)
    )
    data = Sum(data_points=[point], aggregation_temporality=temporality, is_monotonic=True)
    return Metric(name=name, unit="{prediction}", sum=data)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """An HTTP client of one console."""

    address: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in (self.headers | headers).items()}
        request = urllib.request.Request(self.address + path, body, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, _lower(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _lower(error.headers), error.read())

    def get(self, path: str) -> Any:
        return self.send(path).json()

    def export(self, message: Any, *, compress: bool = False) -> Answer:
        signal = {"ExportTraceServiceRequest": "traces", "ExportLogsServiceRequest": "logs"}.get(
            type(message).__name__, "metrics"
        )
        body = message.SerializeToString()
        headers = {"content-encoding": "gzip"} if compress else {}
        return self.send(f"/v1/{signal}", gzip.compress(body) if compress else body, content_type=PROTOBUF, **headers)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
