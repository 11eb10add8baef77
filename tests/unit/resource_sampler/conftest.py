"""Recorded trees, flat readings, a fake NVML and an in-memory meter for the tests of the resource sampler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _guard

DATA = Path(__file__).parents[2] / "data"


class NvmlError(Exception):
    """As nvidia-ml-py's NVMLError: a code in `value`, equal by code, not hashable."""

    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value

    def __eq__(self, other: object) -> bool:
        return self.value == other.value  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]


class FakeNvml:
    """Answers like the module `pynvml` for two GPUs; `fail[call]` or `fail[call, uuid]` makes a call raise that code."""

    NVMLError = NvmlError

    def __init__(self, gpus: tuple[str, ...] = ("GPU-a", "GPU-b")) -> None:
        self.gpus = list(gpus)
        self.fail: dict[Any, int] = {}
        self.calls: list[str] = []
        self.energy = 7_500
        self.values: dict[str, Any] = {
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37, memory=12),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=85_899_345_920, free=64_424_509_440, used=0),
            "nvmlDeviceGetPowerUsage": 310_500,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetTemperatureV": 54,
            "nvmlDeviceGetTemperature": 53,
            "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
        }

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        return lambda *arguments: self._answer(name, arguments)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        self.calls.append(name)
        code = self.fail.get((name, arguments[0] if arguments else None), self.fail.get(name))
        if code is not None:
            raise NvmlError(code)
        if name == "nvmlDeviceGetCount":
            return len(self.gpus)
        if name == "nvmlDeviceGetHandleByIndex":
            return self.gpus[arguments[0]]
        if name == "nvmlDeviceGetUUID":
            return arguments[0].encode()
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            return self.energy
        return self.values.get(name)


@pytest.fixture(autouse=True)
def fresh_guard() -> Iterator[None]:
    _guard.reset()
    yield
    _guard.reset()


@pytest.fixture
def data() -> Path:
    return DATA


@pytest.fixture
def nvml() -> FakeNvml:
    return FakeNvml()


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
