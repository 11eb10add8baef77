"""Guest mode: counts that the SDK takes when it collects, and what it costs no call for."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

import otel_ml
from otel_ml._telemetry import ports
from otel_ml._telemetry.provider_globals import generation, swap_globals
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction.binding._guest_counts import GuestCounts
from otel_ml.testing import InMemoryTelemetry

FRAME = {"age": [20 + index % 50 for index in range(400)]}
RESULT = {"prediction": 1, "probability": 0.93}


def values(reader: InMemoryMetricReader, name: str) -> list[Any]:
    """Values above 0 of a metric in one collection."""
    data = reader.get_metrics_data()
    return [
        point.value
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name == name and point.value
    ]


def spec(name: str) -> ModelSpec:
    return otel_ml.Model(name, "1")._handle.spec


@pytest.fixture
def sdk(request: pytest.FixtureRequest):
    """Makes the SDK's providers the global ones; returns the metric reader and the span exporter."""
    settings = getattr(request, "param", {})
    reader, exporter = InMemoryMetricReader(**settings.get("reader", {})), InMemorySpanExporter()
    spans = TracerProvider(**settings.get("spans", {}))
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    undo = swap_globals(spans, MeterProvider([reader]), None)
    ports.enter(ports.State("guest", generation=generation()))
    yield reader, exporter
    undo()
    ports.enter(None)


def test_a_model_keeps_its_counts_when_configure_comes_later(sdk: Any) -> None:
    """Both states count through the same global providers, where an instrument exists once."""
    reader, _ = sdk
    model = otel_ml.Model("m", "1", task="binary", profile=otel_ml.ReferenceProfile.fit(FRAME))
    predict = model.track(lambda features: RESULT)
    predict({"age": 33})
    ports.enter(ports.State("guest", generation=generation(), limits=ports.Limits(models=3)))
    predict({"age": 33})

    assert values(reader, "ml.feature.values") == [2]
    assert values(reader, "ml.predictions") == [2]


def test_limits_of_a_later_configure_are_in_force(sdk: Any) -> None:
    """A model that existed before has no more bins than the new limit allows."""
    reader, _ = sdk
    model = otel_ml.Model("m", "1", task="binary", profile=otel_ml.ReferenceProfile.fit(FRAME))
    ports.enter(ports.State("guest", generation=generation(), limits=ports.Limits(feature_series=1)))
    model.track(lambda features: RESULT)({"age": 33})

    assert values(reader, "ml.feature.values") == []


def test_the_gauge_shows_calls_in_progress(sdk: Any) -> None:
    """While a call runs it is active; afterwards it is not, whether it failed or not."""
    reader, _ = sdk
    model = otel_ml.Model("m", "1")
    with model.prediction({"a": 1}):
        assert values(reader, "ml.prediction.active") == [1]
    with pytest.raises(ValueError, match="no"), model.prediction({"a": 1}):
        raise ValueError("no")

    assert values(reader, "ml.prediction.active") == []


def test_counts_outlive_the_handle(sdk: Any) -> None:
    """A model that is gone before the next collection was counted all the same."""
    reader, _ = sdk
    otel_ml.Model("gone", "1", task="binary").track(lambda features: RESULT)({"a": 1.0})
    gc.collect()

    assert values(reader, "ml.predictions") == [1]


@pytest.mark.parametrize(
    "sdk", [{"reader": {"preferred_temporality": dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)}}],
    indirect=True,
)  # fmt: skip
def test_delta_temporality_counts_each_prediction_once(sdk: Any) -> None:
    """Each collection has what was predicted since the one before."""
    reader, _ = sdk
    predict = otel_ml.Model("m", "1", task="binary").track(lambda features: RESULT)
    seen = []
    for calls in (2, 0, 1):
        for _ in range(calls):
            predict({"a": 1.0})
        seen.append(values(reader, "ml.predictions"))

    assert seen == [[2], [], [1]]


def test_a_forked_child_leaves_to_the_parent_what_was_not_collected(sdk: Any) -> None:
    """Predictions made before the fork are counted by the parent alone, and none is active in the child."""
    reader, _ = sdk
    model = otel_ml.Model("m", "1", task="binary")
    predict = model.track(lambda features: RESULT)
    predict({"a": 1.0})
    running = model.prediction({"a": 1})
    running._start()
    child = os.fork()
    if child == 0:
        found = (values(reader, "ml.predictions"), values(reader, "ml.prediction.active"))
        os._exit(0 if found == ([], []) else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert values(reader, "ml.predictions") == [1]
    assert values(reader, "ml.prediction.active") == [1]
    running._finish()


def test_models_that_nobody_uses_make_room() -> None:
    """Beyond the limit the counts of models without a handle are forgotten, and those in use stay."""
    counts = GuestCounts(metrics.NoOpMeterProvider().get_meter("m"), limit=2)
    kept = spec("kept")
    first = counts.get(kept)
    for index in range(5):
        counts.get(spec(f"daily-{index}"))

    assert counts.get(kept) is first
    assert len(counts._models) <= 2


class Forgetful(Sampler):
    """Drops the attributes that a span begins with, as samplers do that return a decision only."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "Forgetful"


@pytest.mark.parametrize("sdk", [{}, {"spans": {"sampler": Forgetful()}}], indirect=True)
def test_a_span_names_its_model(sdk: Any) -> None:
    """The identity is on the span, even if a sampler dropped what it began with."""
    _, exporter = sdk
    otel_ml.Model("m", "1", task="binary").track(lambda features: RESULT)({"a": 1.0})
    (span,) = exporter.get_finished_spans()
    found = {name: value for name, value in span.attributes.items() if name != "ml.prediction.id"}

    assert found == {
        "ml.model.name": "m",
        "ml.model.version": "1",
        "ml.model.role": "primary",
        "ml.prediction.class": "1",
        "ml.prediction.score": 0.93,
    }


def test_the_first_row_of_a_bucket_is_its_exemplar() -> None:
    """In a batch each bucket of the scores gets one exemplar: the first score, with the prediction's span."""
    with InMemoryTelemetry("guest") as kit:
        model = otel_ml.Model("m", "1", task="binary")
        with model.prediction([{"a": 1}] * 4) as prediction:
            prediction.set_output([1, 1, 1, 0], [0.91, 0.92, 0.93, 0.11], batch=True)
        (point,) = kit.metrics()["ml.prediction.score"]

    assert point["count"] == 4
    assert [(one["value"], one["span_id"]) for one in point["exemplars"]] == [
        (0.11, prediction.span_id),
        (0.91, prediction.span_id),
    ]


def test_the_current_span_is_still_the_service_s_own_afterwards(sdk: Any) -> None:
    """A prediction measured in another context than its own leaves the current one alone."""
    reader, _ = sdk
    model = otel_ml.Model("m", "1", task="binary")
    with trace.get_tracer("service").start_as_current_span("request") as request:
        prediction = model.prediction({"a": 1})
        prediction._start()
        prediction._finish(RESULT)
        assert trace.get_current_span() is request

    assert values(reader, "ml.predictions") == [1]


def test_an_empty_batch_predicts_nothing(sdk: Any) -> None:
    """A batch without rows has no class and no score; the call itself is measured."""
    reader, _ = sdk
    with otel_ml.Model("m", "1", batch=True).prediction([]) as prediction:
        prediction.set_output([], [], batch=True)

    assert values(reader, "ml.predictions") == []


def test_a_forked_child_begins_its_segments_at_zero(guest_telemetry):
    """What the parent has not handed over stays with it, and the child's first count comes with the zeros again."""
    model = otel_ml.Model("m", task="binary", classes=[0, 1], segments=("region",))
    predict = model.track(lambda features: 1)
    predict({"region": "north"})
    counts = model._handle.binding.counts
    counts.reset_after_fork()
    assert counts.take_segments() == {}
    predict({"region": "north"})

    assert {(key.metric.name, key.label): count for key, count in counts.take_segments().items()} == {
        ("ml.segment.predictions", "0"): 0,
        ("ml.segment.predictions", "1"): 1,
        ("ml.segment.errors", None): 0,
    }
