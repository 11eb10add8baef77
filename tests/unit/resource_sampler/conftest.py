"""Recorded trees, flat readings, a stand-in for the NVIDIA library and an in-memory meter for the sampler's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _guard

DATA = Path(__file__).parents[2] / "data"
sys.path[:0] = [str(DATA / "nvml"), str(Path(__file__).parent / "gpu")]
from nvml_fixtures import driver, gpus, nvml, nvml_library  # noqa: E402, F401 - fixtures


@pytest.fixture(autouse=True)
def fresh_guard() -> Iterator[None]:
    _guard.reset()
    yield
    _guard.reset()


@pytest.fixture
def data() -> Path:
    return DATA


@pytest.fixture
def provider() -> Iterator[SimpleNamespace]:
    """A meter with an in-memory reader behind it."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    yield SimpleNamespace(meter=meters.get_meter("test"), reader=reader)
    meters.shutdown()


@pytest.fixture
def flat() -> Any:
    """Readings or collected points as comparable rows."""
    return lambda report: [(r.metric.name, r.value, dict(r.attributes)) for r in report.readings]


@pytest.fixture
def collect() -> Any:
    """Points by metric name, each as a sorted list of (attributes, value)."""

    def run(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        data = reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = [(dict(p.attributes), getattr(p, "value", None)) for p in metric.data.data_points]
                    if points:
                        found[metric.name] = sorted(points, key=repr)
        return found

    return run
