"""Fixtures of the stand-in for NVIDIA's library, imported by the tests that need it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_nvml import FakeDriver, build

from otel_ml.resource_sampler import GpuSource, Report


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(nvml_library: Path, tmp_path: Path) -> Iterator[FakeDriver]:
    """Two busy GPUs at second 0; after the test there is no driver any more."""
    fake = FakeDriver(nvml_library, tmp_path)
    fake.load()
    yield fake
    fake.unload()


@pytest.fixture
def nvml(driver: FakeDriver) -> Any:
    """The real nvidia-ml-py on top of it."""
    return importlib.import_module("pynvml")


@pytest.fixture
def gpus(driver: FakeDriver, tmp_path: Path) -> Iterator[Callable[..., GpuSource]]:
    """Makes GPU sources on the library's clock; at the end all is given back, and no call was made that must not be."""
    made: list[GpuSource] = []

    def make(**settings: Any) -> GpuSource:
        defaults = {"clock": driver.clock, "jitter": lambda: 0.5, "poll": 3600.0, "proc": tmp_path / "proc"}
        made.append(GpuSource(**{**defaults, "deadline": 30.0, **settings}))
        return made[-1]

    yield make
    driver.release()
    for source in made:
        source.close()
    assert (driver.overlaps, driver.after_shutdown, driver.calls("nvmlDeviceGetPcieThroughput")) == (0, 0, 0)
    assert driver.held == driver.may_hold


def figures(uuid: str, name: str, *, t: float = 0.0, gpm: bool = False) -> list[tuple[str, float, dict[str, Any]]]:
    """All that `h100.scenario` gives for one GPU after t seconds at a slow tick, without its status and XID counts."""
    base = {"hw.id": uuid, "hw.name": name, "hw.vendor": "NVIDIA", "hw.model": "NVIDIA H100 80GB HBM3"}
    gpu = {**base, "hw.type": "gpu"}
    sensor = {"hw.id": f"{uuid}/temperature", "hw.parent": uuid, "hw.sensor_location": "gpu"}
    memory = {"hw.id": f"{uuid}/memory_temperature", "hw.parent": uuid, "hw.sensor_location": "memory"}

    def throttled(reason: str, seconds: float) -> tuple[str, float, dict[str, Any]]:
        return "otelml.gpu.clock.throttle.time", seconds, {**base, "otelml.gpu.clock.throttle.reason": reason}

    def moved(metric: str, direction: str, count: float) -> tuple[str, float, dict[str, Any]]:
        return metric, int(count), {**base, "network.io.direction": direction}

    rows = [
        ("hw.gpu.utilization", 0.37, {**base, "hw.gpu.task": "general"}),
        ("hw.gpu.memory.usage", 21474836480, base),
        ("hw.gpu.memory.limit", 85899345920, base),
        ("hw.gpu.memory.utilization", 0.25, base),
        ("hw.energy", (7500 + 310500 * t) / 1000, gpu),
        ("hw.power", 310.5, gpu),
        ("otelml.gpu.power.limit", 700.0, base),
        ("hw.temperature", 61.0, memory),
        moved("hw.gpu.io", "transmit", 1e6 + 5e6 * t),
        moved("hw.gpu.io", "receive", 2e6 + 9e6 * t),
        throttled("sw_power_cap", (2e9 + 1e8 * t) / 1e9),
        throttled("thermal", 0.0),
        throttled("sync_boost", 0.0),
        throttled("sw_thermal", 0.0),
        throttled("hw_thermal", 0.5),
        throttled("hw_power_brake", 0.0),
        moved("otelml.gpu.nvlink.io", "transmit", 4096 + 1e6 * t),
        moved("otelml.gpu.nvlink.io", "receive", 8192 + 2e6 * t),
        ("hw.errors", 2, {**gpu, "error.type": "corrected"}),
        ("hw.errors", 0, {**gpu, "error.type": "uncorrected"}),
        ("hw.errors", 1, {**gpu, "error.type": "pcie_replay"}),
        ("otelml.gpu.memory.remapped_rows", 1, {**base, "otelml.gpu.memory.remap.cause": "corrected"}),
        ("otelml.gpu.memory.remapped_rows", 0, {**base, "otelml.gpu.memory.remap.cause": "uncorrected"}),
        ("otelml.gpu.memory.activity", 0.12, base),
        ("hw.gpu.utilization", 0.03, {**base, "hw.gpu.task": "encoder"}),
        ("hw.gpu.utilization", 0.0, {**base, "hw.gpu.task": "decoder"}),
        ("hw.temperature", 54.0, sensor),
        ("hw.temperature.limit", 89.0, {**sensor, "hw.limit_type": "high.degraded"}),
        ("hw.temperature.limit", 92.0, {**sensor, "hw.limit_type": "high.critical"}),
        ("otelml.gpu.clock.frequency", 1980e6, {**base, "otelml.gpu.clock.domain": "graphics"}),
        ("otelml.gpu.clock.frequency", 1975e6, {**base, "otelml.gpu.clock.domain": "sm"}),
        ("otelml.gpu.clock.frequency", 2619e6, {**base, "otelml.gpu.clock.domain": "memory"}),
        ("otelml.gpu.clock.frequency", 1545e6, {**base, "otelml.gpu.clock.domain": "video"}),
        ("hw.fan.speed_ratio", 0.45, {"hw.id": f"{uuid}/fan0", "hw.parent": uuid}),
        ("otelml.gpu.process.count", 0, {**base, "otelml.gpu.process.owner": "self"}),
        ("otelml.gpu.process.count", 0, {**base, "otelml.gpu.process.owner": "other"}),
    ]
    if gpm:
        rows += [
            ("otelml.gpu.sm.activity", 0.625, base),
            ("otelml.gpu.sm.occupancy", 0.25, base),
            ("otelml.gpu.tensor.activity", 0.125, base),
            ("otelml.gpu.dram.activity", 0.5, base),
        ]
    return rows


def status(uuid: str, name: str, state: str) -> list[tuple[str, float, dict[str, Any]]]:
    """The points of `hw.status`."""
    base = {"hw.id": uuid, "hw.name": name, "hw.vendor": "NVIDIA", "hw.model": "NVIDIA H100 80GB HBM3"}
    return [
        ("hw.status", int(state == known), {**base, "hw.type": "gpu", "hw.state": known})
        for known in ("ok", "degraded", "failed", "predicted_failure")
    ]


def xids(uuid: str, name: str, **counts: int) -> list[tuple[str, float, dict[str, Any]]]:
    """The points of `hw.errors` by XID; operator codes begin at 0."""
    base = {"hw.id": uuid, "hw.name": name, "hw.vendor": "NVIDIA", "hw.model": "NVIDIA H100 80GB HBM3"}
    by_code = {**{f"xid_{code}": 0 for code in (48, 62, 64, 74, 79, 95, 119, 120)}, **counts}
    return [("hw.errors", count, {**base, "hw.type": "gpu", "error.type": code}) for code, count in by_code.items()]


A, B = ("GPU-a", "GPU 0"), ("GPU-b", "GPU 1")


def rows_of(report: Report, metric: str = "") -> list[tuple[str, float, dict[str, Any]]]:
    """Readings as comparable rows, of one metric or of all."""
    return [
        (reading.metric.name, reading.value, dict(reading.attributes))
        for reading in report.readings
        if not metric or reading.metric.name == metric
    ]


def in_any_order(rows: list[Any]) -> list[Any]:
    """Rows sorted by their text."""
    return sorted(rows, key=repr)
