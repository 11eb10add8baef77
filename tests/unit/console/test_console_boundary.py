"""The console is an OTLP back end like any other and knows nothing of the SDK."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_ml.console
from otel_ml import semconv


def test_the_console_knows_names_and_protocol_only():
    """Importing all of the console loads neither the SDK nor another part of otel_ml except names and formulas."""
    modules = [module.name for module in pkgutil.walk_packages(otel_ml.console.__path__, "otel_ml.console.")]
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    rooms = {name.split(".")[1] for name in loaded if name.startswith("otel_ml.")}
    assert rooms == {"console", "semconv", "_verdicts", "_distances", "_figures", "_report"}
    assert [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []


def test_the_exporters_of_the_sdk_are_understood(console):
    """Span, event and counter of the SDK's exporters, gzip and protobuf, arrive as one prediction."""
    identity = {semconv.MODEL_NAME: "fraud", semconv.MODEL_VERSION: "1.0.0", semconv.MODEL_ROLE: "primary"}
    options = {"compression": Compression.Gzip}
    tracing, logging, metering = (
        TracerProvider(),
        LoggerProvider(),
        MeterProvider(
            [PeriodicExportingMetricReader(OTLPMetricExporter(f"{console.address}/v1/metrics", **options), 1e9)]
        ),
    )
    tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{console.address}/v1/traces", **options)))
    logging.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{console.address}/v1/logs", **options)))
    with tracing.get_tracer("by.hand").start_as_current_span(semconv.PREDICT_SPAN.format(model="fraud")):
        logging.get_logger("by.hand").emit(
            LogRecord(
                event_name=semconv.PREDICTION_EVENT,
                severity_number=SeverityNumber.INFO,
                body=json.dumps({"features": {"age": 41}, "prediction": 1, "score": 0.93}),
                attributes=identity | {semconv.PREDICTION_ID: "p-1", semconv.PREDICTION_SCORE_ATTRIBUTE: 0.93},
            )
        )
    metering.get_meter("by.hand").create_counter(semconv.PREDICTIONS.name).add(1, identity)
    for provider in (tracing, logging, metering):
        provider.shutdown()
    assert console.ingest.flush(240)
    summary = console.get("/api/summary")
    assert {summary[name] for name in ("predictions", "events", "traces", "metric_predictions")} == {1}
    found = console.get("/api/predictions/p-1")
    assert found["event"]["features"] == {"age": 41}
    assert [span["name"] for span in found["trace"]["spans"]] == ["predict fraud"]
