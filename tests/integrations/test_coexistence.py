"""Beside another OpenTelemetry SDK in one process nothing of theirs is replaced, and nothing of ours is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LOGFIRE_FIRST = """
import json
import logfire
from opentelemetry import trace, metrics, _logs
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

seen, reader = InMemorySpanExporter(), InMemoryMetricReader()
logfire.configure(
    send_to_logfire=False,
    console=False,
    inspect_arguments=False,
    additional_span_processors=[SimpleSpanProcessor(seen)],
    metrics=logfire.MetricsOptions(additional_readers=[reader]),
)
theirs = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())

import otel_ml

telemetry = otel_ml.configure(service_name="beside-logfire")
model = otel_ml.Model("fraud", "1", task="binary")

@model.track
def predict(features):
    with logfire.span("inside"):
        return {"prediction": 1, "probability": 0.9}

with logfire.span("around"):
    result = predict({"a": 1})
assert telemetry.shutdown()
now = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())
spans = {span.name: span for span in seen.get_finished_spans() if span.attributes.get("logfire.span_type") != "pending_span"}
parents = {name: next((other.name for other in spans.values() if span.parent and other.context.span_id == span.parent.span_id), None)
           for name, span in spans.items()}
points = [metric.name for resource in reader.get_metrics_data().resource_metrics
          for scope in resource.scope_metrics for metric in scope.metrics]
print(json.dumps({
    "mode": telemetry.mode,
    "replaced": [type(mine).__name__ for mine, theirs_ in zip(now, theirs) if mine is not theirs_],
    "parents": parents,
    "result": result,
    "prediction_metrics": "ml.predictions" in points,
}))
"""


def run_json(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_logfire_configured_first_keeps_everything() -> None:
    """If Logfire is configured first we run in guest mode: its exporter gets our span, and its spans nest above and below it."""
    assert run_json(LOGFIRE_FIRST) == {
        "mode": "guest",
        "replaced": [],
        "parents": {"around": None, "predict fraud": "around", "inside": "predict fraud"},
        "result": {"prediction": 1, "probability": 0.9},
        "prediction_metrics": True,
    }


RANDOM_AND_ENVIRONMENT = """
import json, os, random
before = dict(os.environ)
random.seed(42)
expected = [random.random() for _ in range(5)]
random.seed(42)
import otel_ml
telemetry = otel_ml.configure(service_name="x", traces_exporter="none", metrics_exporter="none", logs_exporter="none")
model = otel_ml.Model("m", "1")
predict = model.track(lambda features: 1)
drawn, ids = [], set()
for _ in range(5):
    drawn.append(random.random())
    with model.prediction({"a": 1}) as prediction:
        prediction.set_output(1)
    ids |= {prediction.id, prediction.trace_id}
random.seed(42)
with model.prediction({"a": 1}) as prediction:
    pass
ids |= {prediction.id, prediction.trace_id}
print(json.dumps({"same": drawn == expected, "ids": len(ids), "environment": dict(os.environ) == before}))
"""


def test_random_state_and_environment_stay_as_they_are() -> None:
    """Ids neither read nor disturb `random`, and no environment variable is set."""
    assert run_json(RANDOM_AND_ENVIRONMENT) == {"same": True, "ids": 12, "environment": True}


DISABLED = """
import os
os.environ["OTEL_SDK_DISABLED"] = "true"
import json, otel_ml
telemetry = otel_ml.configure(service_name="x")
model = otel_ml.Model("m", "1")
with model.prediction({"a": 1}, id="mine") as prediction:
    with prediction.stage("s"):
        prediction.set_output(1)
print(json.dumps([telemetry.mode, prediction.id, prediction.trace_id, telemetry.ledger(), telemetry.shutdown()]))
"""


def test_a_disabled_sdk_is_obeyed() -> None:
    """OTEL_SDK_DISABLED turns everything off; the API stays usable."""
    assert run_json(DISABLED) == ["off", "mine", "0" * 32, {}, True]
