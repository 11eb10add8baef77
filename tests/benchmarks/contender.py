"""One contender in a process of its own: a prediction with 16 features, called in a loop."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

ENDPOINT = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
FEATURES = {f"feature_{index}": index * 1.37 for index in range(16)}
RESULT = {"prediction": 1, "probability": 0.93}
Predict = Callable[[dict[str, float]], dict[str, Any]]
Flush = Callable[[], object]


def predict(features: dict[str, float]) -> dict[str, Any]:
    """Stands for a model that costs nothing."""
    return RESULT


def nothing() -> None:
    """There is nothing to flush."""


def bare() -> tuple[Predict, Flush]:
    """The function alone."""
    return predict, nothing


def prometheus_client() -> tuple[Predict, Flush]:
    """The decorator that people write: a counter, a latency histogram and a score histogram with labels."""
    from prometheus_client import Counter, Histogram

    predictions = Counter("model_predictions", "Predictions.", ["model", "version", "class"])
    latency = Histogram("model_prediction_latency_seconds", "Latency.", ["model", "version"])
    scores = Histogram("model_prediction_value", "Scores.", ["model", "version"])

    def decorated(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        result = predict(features)
        latency.labels("m", "1").observe(time.perf_counter() - began)
        predictions.labels("m", "1", str(result["prediction"])).inc()
        scores.labels("m", "1").observe(result["probability"])
        return result

    return decorated, nothing


def prometheus_client_json() -> tuple[Predict, Flush]:
    """The same with one JSON line a prediction into a file."""
    decorated, _ = prometheus_client()
    log = logging.getLogger("predictions")
    log.addHandler(logging.FileHandler(os.devnull))
    log.setLevel(logging.INFO)
    log.propagate = False

    def logged(features: dict[str, float]) -> dict[str, Any]:
        result = decorated(features)
        log.info(json.dumps({"time": time.time(), "features": features, **result}))
        return result

    return logged, nothing


def otel_metrics() -> tuple[Predict, Flush]:
    """OTel SDK by hand, metrics only."""
    provider, record = _otel_metrics()

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        result = predict(features)
        record(time.perf_counter() - began, result)
        return result

    return instrumented, provider.force_flush


def otel_everything() -> tuple[Predict, Flush]:
    """OTel SDK by hand: span, metrics and an event with the features."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    meter_provider, record = _otel_metrics()
    spans, logs = TracerProvider(), LoggerProvider()
    size = {"max_queue_size": 1_000_000}  # nothing may be dropped in a counted run
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), **size))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(), **size))
    tracer, logger = spans.get_tracer("by-hand"), logs.get_logger("by-hand")

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        with tracer.start_as_current_span("predict m") as span:
            result = predict(features)
            record(time.perf_counter() - began, result)
            span.set_attributes({"model": "m", "version": "1", "class": "1", "score": result["probability"]})
            logger.emit(
                LogRecord(
                    timestamp=time.time_ns(),
                    severity_number=SeverityNumber.INFO,
                    severity_text="INFO",
                    event_name="prediction",
                    body={"features": features, **result},
                    attributes={"model": "m", "version": "1", "score": result["probability"]},
                )
            )
        return result

    def flush() -> None:
        for provider in (spans, logs, meter_provider):
            provider.force_flush(120_000)

    return instrumented, flush


def _otel_metrics() -> tuple[Any, Callable[[float, dict[str, Any]], None]]:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    meter = provider.get_meter("by-hand")
    predictions, latency = meter.create_counter("predictions"), meter.create_histogram("duration", "s")
    scores = meter.create_histogram("score")

    def record(seconds: float, result: dict[str, Any]) -> None:
        latency.record(seconds, {"model": "m", "version": "1"})
        predictions.add(1, {"model": "m", "version": "1", "class": str(result["prediction"])})
        scores.record(result["probability"], {"model": "m", "version": "1"})

    return provider, record


def logfire() -> tuple[Predict, Flush]:
    """Logfire with a span and three metrics, exporting by OTLP."""
    import logfire as pydantic_logfire

    pydantic_logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
    predictions = pydantic_logfire.metric_counter("predictions")
    latency, scores = pydantic_logfire.metric_histogram("duration"), pydantic_logfire.metric_histogram("score")

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        with pydantic_logfire.span("predict", features=features):
            result = predict(features)
            latency.record(time.perf_counter() - began, {"model": "m", "version": "1"})
            predictions.add(1, {"model": "m", "version": "1", "class": str(result["prediction"])})
            scores.record(result["probability"], {"model": "m", "version": "1"})
        return result

    return instrumented, pydantic_logfire.force_flush


def ours_metrics() -> tuple[Predict, Flush]:
    """otel-ml with tracing sampled out and no events."""
    os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    return _ours(events="off")


def ours_everything() -> tuple[Predict, Flush]:
    """otel-ml with everything on."""
    return _ours(events="all")


def _ours(events: Any) -> tuple[Predict, Flush]:
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=1_000_000)
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events=events)
    return model.track(predict), lambda: telemetry.force_flush(120.0)


EXPECTED = {
    "otel_everything": {"spans": 1, "logs": 1},
    "logfire": {},
    "ours_everything": {"spans": 1, "logs": 1},
}
"""Records that must arrive for each call; Logfire's own exporter is not counted here."""


def received() -> dict[str, int]:
    """What the sink counted since the last question."""
    with urllib.request.urlopen(f"{ENDPOINT}/count", timeout=120) as answer:
        return dict(json.load(answer))


def main() -> None:
    """Warms up, times the loop, flushes, and asks the sink what came."""
    name, calls = sys.argv[1], int(sys.argv[2])
    function, flush = globals()[name]()
    for _ in range(500):
        function(FEATURES)
    flush()
    received()
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(calls):
        function(FEATURES)
    caller = time.perf_counter() - began
    flush()
    cpu = time.process_time() - cpu
    arrived = received() if name in EXPECTED else {}
    lost = sum(max(0, each * calls - arrived.get(kind, 0)) for kind, each in EXPECTED.get(name, {}).items())
    print(json.dumps({"caller_us": caller / calls * 1e6, "cpu_us": cpu / calls * 1e6, "lost": lost}))


if __name__ == "__main__":
    main()
