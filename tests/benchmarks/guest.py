"""Contenders of guest mode: one SDK set-up, and the same telemetry by hand and by otel-ml.

Both emit the span, the event and the five metrics of a prediction under the names of `otel_ml.semconv`, with equal
attributes and bodies; `tests/unit/benchmarks/test_bench_guest.py` compares what arrives.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from load import Flush, Load, Predict

MODEL = {"ml.model.name": "m", "ml.model.version": "1", "ml.model.role": "primary"}


def guest_by_hand(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """What otel-ml emits, written by hand through the OTel API."""
    flush = _set_providers(load)
    from opentelemetry import _logs, metrics, trace
    from opentelemetry._logs import LogRecord, SeverityNumber

    from otel_ml import semconv

    tracer, logger = trace.get_tracer("by-hand"), _logs.get_logger("by-hand")
    meter = metrics.get_meter("by-hand")
    active = meter.create_up_down_counter("ml.prediction.active", "{prediction}")
    predictions = meter.create_counter("ml.predictions", "{prediction}")
    duration = meter.create_histogram(
        "ml.prediction.duration", "s", explicit_bucket_boundaries_advisory=semconv.DURATION_BUCKETS
    )
    scores = meter.create_histogram(
        "ml.prediction.score", "1", explicit_bucket_boundaries_advisory=semconv.SCORE_BUCKETS
    )

    def instrumented(features: dict[str, float]) -> dict[str, Any]:
        active.add(1, MODEL)
        with tracer.start_as_current_span("predict m", attributes=MODEL) as span:
            began = time.perf_counter()
            result = model(features)
            seconds = time.perf_counter() - began
            label, score = str(result["prediction"]), result["probability"]
            duration.record(seconds, MODEL)
            predictions.add(1, {**MODEL, "ml.prediction.class": label})
            scores.record(score, MODEL)
            found = {"ml.prediction.id": uuid.uuid4().hex, "ml.prediction.class": label, "ml.prediction.score": score}
            span.set_attributes(found)
            logger.emit(
                LogRecord(
                    timestamp=time.time_ns(),
                    severity_number=SeverityNumber.INFO,
                    severity_text="INFO",
                    event_name="ml.prediction",
                    body=json.dumps({"features": features, "prediction": label, "score": score}),
                    attributes={**MODEL, **found, "ml.model.task": "binary", "ml.prediction.duration": seconds},
                )
            )
        active.add(-1, MODEL)
        return result

    return instrumented, flush


def guest_ours(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """otel-ml in guest mode: the service has set the SDK's providers."""
    flush = _set_providers(load)
    import otel_ml

    handle = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all")
    return handle.track(model), flush


def _set_providers(load: Load) -> Flush:
    """Makes providers of the SDK with OTLP exporters the global ones."""
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), load.metrics * 1000)])
    spans, logs = TracerProvider(), LoggerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=120), **load.sizes))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(timeout=120), **load.sizes))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(meters)
    _logs.set_logger_provider(logs)

    def flush() -> None:
        for provider in (spans, logs, meters):
            provider.force_flush(120_000)

    return flush
