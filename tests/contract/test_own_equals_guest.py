"""The same predictions give the same telemetry, no matter who owns the providers."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

from scenario import play_all_kinds, play_labels

from otel_ml.semconv import Metric, evaluation
from otel_ml.testing import InMemoryTelemetry

TIMES = {"start_ns", "end_ns", "time_ns", "start_time_ns", "ml.prediction.duration"}
IDS = {"trace_id", "span_id", "parent_span_id", "ml.prediction.id"}
MEASURED = {"sum", "min", "max", "counts", "exemplars"}
"""Attributes that depend on how long calls took."""
TASK_METRICS = {
    metric.name
    for metric in vars(evaluation).values()
    if isinstance(metric, Metric) and not metric.name.startswith("ml.eval.reference")
}
"""What labels of all tasks are counted in."""
OWN_ONLY = "otelml.export."
OWN_MARK = "otelml.exemplar"
"""Only our own reader knows at the end of a span whether an exemplar points to it."""


def masked(value: Any, hidden: set[str]) -> Any:
    """The value with the named entries replaced; texts of JSON bodies are read first."""
    if isinstance(value, dict):
        return {key: "*" if key in hidden else masked(entry, hidden) for key, entry in value.items() if key != OWN_MARK}
    if isinstance(value, list):
        return [masked(entry, hidden) for entry in value]
    if isinstance(value, str) and value.startswith("{"):
        return {key: "*" if key == "rows" else entry for key, entry in json.loads(value).items()}
    return value


def played(mode: Any) -> dict[str, Any]:
    gc.collect()  # models of other tests are observed as long as they exist
    with InMemoryTelemetry(mode) as kit:
        model = play_all_kinds()
        assert model.name == "churn"
        return {"spans": kit.spans(), "logs": kit.logs(), "metrics": kit.metrics(), "instruments": kit.instruments()}


def comparable_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    timed = {name for name in metrics if name.endswith((".duration", ".timestamp"))}
    return {
        name: masked(points, {*TIMES, "value", *MEASURED} if name in timed else {*TIMES, "exemplars"})
        for name, points in metrics.items()
        if not name.startswith((OWN_ONLY, "otelml.internal"))
    }


def test_spans_are_equal() -> None:
    """Names, parents, attributes, exception events and status of every span agree."""
    own, guest = played("own")["spans"], played("guest")["spans"]

    assert by_name(masked(own, TIMES | IDS)) == by_name(masked(guest, TIMES | IDS))


def test_events_are_equal() -> None:
    """Names, severity, body, attributes and flags of every event agree."""
    own, guest = played("own")["logs"], played("guest")["logs"]

    assert masked(own, TIMES | IDS) == masked(guest, TIMES | IDS)


def test_metric_points_are_equal() -> None:
    """Every metric of the models has the same points, and the same counts where they do not depend on time."""
    own, guest = played("own")["metrics"], played("guest")["metrics"]

    assert comparable_metrics(own) == comparable_metrics(guest)


def test_instruments_are_equal() -> None:
    """Kind, unit and description of every metric agree with each other."""
    own, guest = played("own")["instruments"], played("guest")["instruments"]

    assert {name: own[name] for name in guest} == guest


def test_counts_of_labels_are_equal(tmp_path: Path) -> None:
    """Every task has the same series with the same values, and the same events; units and kinds agree."""
    found = {}
    for mode in ("own", "guest"):
        gc.collect()
        with InMemoryTelemetry(mode) as kit:
            play_labels(f"sqlite:///{tmp_path}/{mode}.db")
            metrics, instruments = kit.metrics(), kit.instruments()
            names = {name for name in metrics if name.startswith("ml.eval.")}
            found[mode] = (
                {name: by_attributes(masked(metrics[name], {*TIMES, "exemplars"})) for name in names},
                {name: instruments[name] for name in names},
                masked(kit.logs(), TIMES | IDS),
            )
    own, guest = found["own"], found["guest"]

    assert own[0].keys() == TASK_METRICS
    assert own == guest


def by_attributes(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(points, key=lambda point: json.dumps(point["attributes"], sort_keys=True))


def by_name(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(spans, key=lambda span: json.dumps(span, sort_keys=True))
