"""Telemetry about inputs."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _guard, semconv
from otel_ml.quality import Column, FeatureInstruments, FeatureMonitor, ReferenceProfile, Schema

IDENTITY = {semconv.MODEL_NAME: "m", semconv.MODEL_VERSION: "1", semconv.MODEL_ROLE: "primary"}


def instruments_on(provider, **limits):
    instruments = FeatureInstruments(**{"models": 8, "series": 1900, **limits})
    instruments.create(provider.get_meter("test"))
    return instruments


@pytest.fixture
def telemetry():
    """An instrument set and a function that returns all exported points."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)

    def collect():
        data = reader.get_metrics_data()
        found = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data is not None else ():
            for point in metric.data.data_points:
                rest = {key: value for key, value in point.attributes.items() if key not in IDENTITY}
                found[(metric.name, *rest.values())] = point.value
        return found

    yield instruments_on(provider), collect
    provider.shutdown()


def monitor_of(values, name="m"):
    profile = ReferenceProfile.fit({"x": values})
    return FeatureMonitor({**IDENTITY, semconv.MODEL_NAME: name}, profile=profile)


def test_every_bin_and_declared_rule_is_exported_from_the_first_collection(telemetry):
    """Zeros are exported too: a first value without a zero before it shows no increase."""
    instruments, collect = telemetry
    monitor = monitor_of(["a", "b"] * 50)
    profile = monitor.profile.id
    instruments.add(monitor)
    instruments.add(monitor)
    first = collect()
    monitor.observe_row({"x": "a"}, None, None)
    monitor.observe_row({"x": "z"}, None, None)
    monitor.observe_row({"x": None}, None, None)
    zeros = {
        ("ml.feature.values", profile, "x", "a"): 0,
        ("ml.feature.values", profile, "x", "b"): 0,
        ("ml.feature.values", profile, "x", "__other__"): 0,
        ("ml.feature.values", profile, "x", "__unseen__"): 0,
        ("ml.feature.missing", "x"): 0,
        ("ml.feature.reference.share", profile, "x", "a"): 50.5 / 102,
        ("ml.feature.reference.share", profile, "x", "b"): 50.5 / 102,
        ("ml.feature.reference.share", profile, "x", "__other__"): 0.5 / 102,
        ("ml.feature.reference.share", profile, "x", "__unseen__"): 0.5 / 102,
        ("ml.feature.reference.size", profile, "x"): 100,
        ("ml.feature.expected.share", profile, "x", "missing"): 0.5 / 101,
        ("ml.feature.expected.share", profile, "x", "invalid"): 0.5 / 101,
        ("ml.feature.expected.share", profile, "x", "unseen"): 0.5 / 102,
        ("ml.data.violations", "x", "missing_column"): 0,
        ("ml.data.violations", "x", "null"): 0,
        ("ml.data.violations", "x", "type"): 0,
        ("ml.data.violations", "x", "domain"): 0,
        ("ml.data.invalid_predictions",): 0,
    }
    assert first == zeros
    assert collect() == {
        **zeros,
        ("ml.feature.values", profile, "x", "a"): 1,
        ("ml.feature.values", profile, "x", "__unseen__"): 1,
        ("ml.feature.missing", "x"): 1,
        ("ml.data.violations", "x", "null"): 1,
        ("ml.data.violations", "x", "domain"): 1,
        ("ml.data.invalid_predictions",): 2,
    }


def test_names_units_and_kinds_are_those_of_the_catalogue(census):
    """Instruments follow the rows of `semconv`."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instruments_on(provider).add(FeatureMonitor(IDENTITY, profile=census))
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    found = [
        (metric.name, getattr(metric.data, "is_monotonic", None), metric.unit, metric.description) for metric in metrics
    ]
    provider.shutdown()
    assert found == [
        (metric.name, True if metric.instrument == "counter" else None, metric.unit, metric.description)
        for metric in (
            semconv.FEATURE_VALUES,
            semconv.FEATURE_MISSING,
            semconv.FEATURE_REFERENCE_SHARE,
            semconv.FEATURE_REFERENCE_SIZE,
            semconv.FEATURE_EXPECTED_SHARE,
            semconv.DATA_VIOLATIONS,
            semconv.DATA_INVALID_PREDICTIONS,
            semconv.EVAL_REFERENCE,
            semconv.EVAL_REFERENCE_SIZE,
        )
    ]


def test_a_model_that_is_created_again_continues_its_counts(telemetry):
    """Two monitors of the same model and profile add up to one series."""
    instruments, collect = telemetry
    first, second = (monitor_of([0, 1] * 50) for _ in range(2))
    second.observe_row({"x": 1}, None, None)
    instruments.add(first)
    instruments.add(second)
    first.observe_row({"x": 1}, None, None)
    second.observe_row({"x": 1}, None, None)
    assert collect()["ml.feature.values", first.profile.id, "x", "1"] == 3


def test_two_profiles_of_one_version_share_the_series_without_profile(telemetry):
    """Bins are separate by profile id, missing values add up."""
    instruments, collect = telemetry
    first, second = monitor_of([0, 1] * 50), monitor_of([0, 2] * 50)
    for monitor in (first, second):
        instruments.add(monitor)
        monitor.observe_row({"x": None}, None, None)
    found = collect()
    assert (first.profile.id != second.profile.id, found["ml.feature.missing", "x"]) == (True, 2)
    assert found["ml.data.invalid_predictions",] == 2


def test_a_schema_alone_counts_violations(telemetry):
    """Without a profile there are no bins."""
    instruments, collect = telemetry
    monitor = FeatureMonitor(IDENTITY, profile=None, schema=Schema([Column("x", "number", low=0)], closed=True))
    instruments.add(monitor)
    monitor.observe_row({"x": -1, "y": 2}, "1", 0.5)
    monitor.observe_batch({"x": [1, 2, 3]}, None, None, 2)
    assert collect() == {
        ("ml.feature.missing", "x"): 0,
        ("ml.data.violations", "x", "missing_column"): 0,
        ("ml.data.violations", "x", "type"): 0,
        ("ml.data.violations", "x", "non_finite"): 0,
        ("ml.data.violations", "x", "range_low"): 1,
        ("ml.data.violations", "x", "shape"): 2,
        ("ml.data.violations", "__other__", "extra_column"): 1,
        ("ml.data.invalid_predictions",): 3,
    }


def test_the_features_of_the_newest_model_are_never_left_out(caplog):
    """With many wide models each keeps its most important features, and one line names the others."""
    _guard.reset()
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    instruments = instruments_on(provider)
    values = [value for value in range(20) for _ in range(20)]
    profile = ReferenceProfile.fit({f"f{position:02d}": values for position in range(32)})
    monitors = [
        FeatureMonitor({**IDENTITY, semconv.MODEL_NAME: f"m{position}"}, profile=profile) for position in range(3)
    ]
    for monitor in monitors:
        instruments.add(monitor)
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    points = {metric.name: len(metric.data.data_points) for metric in metrics}
    provider.shutdown()
    assert points["ml.feature.values"] == points["ml.feature.reference.share"] == 76 * 22
    assert "f31 of m0 1 primary; f25, f26, f27, f28, f29, f30, f31 of m1 1 primary; f26" in caplog.text
