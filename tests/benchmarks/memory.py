"""Memory of one more time series and of one more queued record, in bytes; prints figures as JSON.

Memory is what `tracemalloc` counts: all that Python allocated and still holds after a garbage collection.

- `series`: 50 models with ten classes each, called once per class; the growth divided by the metric points of one more
  export. A counter or a histogram under one set of attributes is one point. For otel-ml it includes the model handles.
- `record`: 3,000 predictions with distinct features that are not encoded yet, since the threads' next round is an hour
  away and so few do not wake them earlier; the growth divided by the predictions. One is a span and an event with 16 features.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from contender import EXPECTED, lost, received, warmed
from load import FEATURES, LOADS, Flush, predict

MODELS, CLASSES, RECORDS = 50, 10, 3_000
AddModel = Callable[[str], object]
"""Creates a model and calls it once per class."""


def prometheus_client() -> tuple[AddModel, Callable[[], int]]:
    """The decorator's three metrics; the second function counts the children."""
    from prometheus_client import REGISTRY, Counter, Histogram

    predictions = Counter("model_predictions", "Predictions.", ["model", "version", "class"])
    latency = Histogram("model_prediction_latency_seconds", "Latency.", ["model", "version"])
    scores = Histogram("model_prediction_value", "Scores.", ["model", "version"])

    def add(name: str) -> None:
        for label in range(CLASSES):
            latency.labels(name, "1").observe(0.001)
            predictions.labels(name, "1", str(label)).inc()
            scores.labels(name, "1").observe(0.9)

    def points() -> int:
        samples = [sample.name for family in REGISTRY.collect() for sample in family.samples]
        return sum(name.startswith("model_") and name.endswith(("_total", "_count")) for name in samples)

    return add, points


def otel_metrics() -> tuple[AddModel, Callable[[], int]]:
    """The same three metrics by hand."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 3_600_000)])
    meter = provider.get_meter("by-hand")
    predictions, latency = meter.create_counter("predictions"), meter.create_histogram("duration", "s")
    scores = meter.create_histogram("score")

    def add(name: str) -> None:
        for label in range(CLASSES):
            latency.record(0.001, {"model": name, "version": "1"})
            predictions.add(1, {"model": name, "version": "1", "class": str(label)})
            scores.record(0.9, {"model": name, "version": "1"})

    return add, exported(provider.force_flush)


def ours_metrics() -> tuple[AddModel, Callable[[], int]]:
    """otel-ml with tracing sampled out and no events."""
    os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", schedule_delay=3600.0, metric_export_interval=3600.0)
    handles: list[Callable[[dict[str, Any]], dict[str, Any]]] = []

    def add(name: str) -> None:
        model = otel_ml.Model(name, "1", task="multiclass", events="off")
        handles.append(model.track(lambda features: {"prediction": features["label"], "probability": 0.9}))
        for label in range(CLASSES):
            handles[-1]({"label": label})

    return add, exported(lambda: telemetry.force_flush(60.0))


def exported(flush: Flush) -> Callable[[], int]:
    """Counts the points of one export at the sink."""

    def points() -> int:
        received()
        flush()
        return received()["points"]

    return points


SERIES = {setup.__name__: setup for setup in (prometheus_client, otel_metrics, ours_metrics)}


def series(name: str) -> dict[str, float]:
    """Returns bytes per point, and the number of points."""
    add, points = SERIES[name]()
    add("first")
    before = points()
    held = _held()
    for number in range(MODELS):
        add(f"model-{number}")
    after = points()
    grown = _held() - held
    tracemalloc.stop()
    return {"bytes_per_series": grown / (after - before), "series": after - before}


def record(name: str) -> dict[str, float]:
    """Returns bytes per queued prediction."""
    function, flush = warmed(name, predict, LOADS["idle"])
    time.sleep(0.1)  # the threads that the flush woke go back to sleep
    held = _held()
    for number in range(RECORDS):
        function({key: value + number for key, value in FEATURES.items()})
    grown = _held() - held
    tracemalloc.stop()
    flush()
    return {"bytes_per_record": grown / RECORDS, "lost": lost(name, RECORDS)}


def _held() -> int:
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    """Measures one contender."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["series", "record"])
    parser.add_argument("name", choices=sorted({*SERIES, *EXPECTED} - {"logfire"}))
    given = parser.parse_args()
    print(json.dumps(series(given.name) if given.what == "series" else record(given.name)))


if __name__ == "__main__":
    main()
