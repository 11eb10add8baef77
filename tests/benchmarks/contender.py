"""The contenders: the same prediction with 16 features, recorded by each as its users write it.

The decorator is what people write around a model today: three metrics with labels, a counter by class and histograms of
latency and score, each found by `labels(...)` at every call. Every contender is set up with the function it wraps and a `Load`, which
sets when its background threads work, so that all programs measure all contenders in the same way.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from guest import guest_by_hand, guest_ours
from load import FEATURES, Flush, Load, Predict, nothing
from profiled import SERVICES, otel_ml_model, ours_profile
from segmented import SEGMENTED
from stored import ours_both, ours_truth


def bare(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """The function alone."""
    return model, nothing


def prometheus_client(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """The decorator that people write: a counter, a latency histogram and a score histogram with labels."""
    from prometheus_client import Counter, Histogram, generate_latest

    predictions = Counter("model_predictions", "Predictions.", ["model", "version", "class"])
    latency = Histogram("model_prediction_latency_seconds", "Latency.", ["model", "version"])
    scores = Histogram("model_prediction_value", "Scores.", ["model", "version"])

    def decorated(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        result = model(features)
        latency.labels("m", "1").observe(time.perf_counter() - began)
        predictions.labels("m", "1", str(result["prediction"])).inc()
        scores.labels("m", "1").observe(result["probability"])
        return result

    def scrape() -> None:
        while True:
            time.sleep(load.metrics)
            generate_latest()

    threading.Thread(target=scrape, daemon=True).start()
    return decorated, nothing


def prometheus_client_json(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """The same, with one JSON line per prediction written to a file."""
    decorated, _ = prometheus_client(model, load)
    log = logging.getLogger("predictions")
    log.addHandler(logging.FileHandler(os.devnull))
    log.setLevel(logging.INFO)
    log.propagate = False

    def logged(features: dict[str, float]) -> dict[str, Any]:
        result = decorated(features)
        log.info(json.dumps({"time": time.time(), "features": features, **result}))
        return result

    return logged, nothing


def otel_metrics(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """OTel SDK by hand, metrics only."""
    provider, record = _otel_metrics(load)

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        result = model(features)
        record(time.perf_counter() - began, result)
        return result

    return instrumented, provider.force_flush


def otel_everything(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """OTel SDK by hand: span, metrics and an event with the features."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    meter_provider, record = _otel_metrics(load)
    spans, logs = TracerProvider(), LoggerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=120), **load.sizes))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(timeout=120), **load.sizes))
    tracer, logger = spans.get_tracer("by-hand"), logs.get_logger("by-hand")

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        with tracer.start_as_current_span("predict m") as span:
            result = model(features)
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


def _otel_metrics(load: Load) -> tuple[Any, Callable[[float, dict[str, Any]], None]]:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), load.metrics * 1000)])
    meter = provider.get_meter("by-hand")
    predictions, latency = meter.create_counter("predictions"), meter.create_histogram("duration", "s")
    scores = meter.create_histogram("score")

    def record(seconds: float, result: dict[str, Any]) -> None:
        latency.record(seconds, {"model": "m", "version": "1"})
        predictions.add(1, {"model": "m", "version": "1", "class": str(result["prediction"])})
        scores.record(result["probability"], {"model": "m", "version": "1"})

    return provider, record


def logfire(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """Logfire with a span that holds the features and three metrics, exporting by OTLP."""
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = str(load.queue)
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = str(round(load.delay * 1000))
    import logfire as pydantic_logfire

    pydantic_logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
    predictions = pydantic_logfire.metric_counter("predictions")
    latency, scores = pydantic_logfire.metric_histogram("duration"), pydantic_logfire.metric_histogram("score")

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        began = time.perf_counter()
        with pydantic_logfire.span("predict", features=features):
            result = model(features)
            latency.record(time.perf_counter() - began, {"model": "m", "version": "1"})
            predictions.add(1, {"model": "m", "version": "1", "class": str(result["prediction"])})
            scores.record(result["probability"], {"model": "m", "version": "1"})
        return result

    return instrumented, lambda: pydantic_logfire.force_flush(120_000)


def ours_metrics(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """otel-ml with tracing sampled out and no events."""
    os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    return otel_ml_model(model, load, capture_features="all", events="off")


def ours_everything(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """otel-ml with everything on."""
    return otel_ml_model(model, load, capture_features="all", events="all")


CONTENDERS: dict[str, Callable[[Predict, Load], tuple[Predict, Flush]]] = {
    setup.__name__: setup
    for setup in (
        bare,
        prometheus_client,
        prometheus_client_json,
        otel_metrics,
        otel_everything,
        logfire,
        ours_metrics,
        ours_everything,
        ours_profile,
        ours_truth,
        ours_both,
        *SERVICES,
        *SEGMENTED,
        guest_by_hand,
        guest_ours,
    )
}
EXPECTED = {
    "otel_everything": {"spans": 1, "logs": 1},
    "logfire": {"spans": 1},
    "ours_everything": {"spans": 1, "logs": 1},
    "ours_everything_rows": {"spans": 1, "logs": 1},
    "ours_everything_segments": {"spans": 1, "logs": 1},
    "ours_profile": {"spans": 1, "logs": 1},
    "ours_truth": {"spans": 1, "logs": 1},
    "ours_both": {"spans": 1, "logs": 1},
    "guest_by_hand": {"spans": 1, "logs": 1},
    "guest_ours": {"spans": 1, "logs": 1},
}
"""Records that must arrive for each call."""


def received() -> dict[str, int]:
    """Returns what the sink counted since the last request."""
    with urllib.request.urlopen(f"{os.environ['OTEL_EXPORTER_OTLP_ENDPOINT']}/count", timeout=120) as answer:
        return dict(json.load(answer))


def missing(expected: Mapping[str, int], calls: int) -> int:
    """Returns the records of these calls that did not reach the sink; each call makes this many of each kind."""
    arrived = received()
    return sum(max(0, each * calls - arrived.get(kind, 0)) for kind, each in expected.items())


def lost(name: str, calls: int) -> int:
    """Returns the records of these calls that did not reach the sink."""
    return missing(EXPECTED[name], calls) if name in EXPECTED else 0


def warmed(name: str, model: Predict, load: Load) -> tuple[Predict, Flush]:
    """Sets a contender up, makes 500 calls and flushes them.

    It also runs the garbage collector once over all imported modules: 20 ms that occur once per process.
    """
    function, flush = CONTENDERS[name](model, load)
    for _ in range(500):
        function(FEATURES)
    flush()
    received()
    gc.collect()
    return function, flush
