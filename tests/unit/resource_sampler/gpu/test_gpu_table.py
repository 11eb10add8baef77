"""One row a figure of the GPU table: which call of the driver it comes from, in which unit, under which attributes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from nvml_fixtures import rows_of

from otel_ml import semconv
from otel_ml.resource_sampler import GpuSource
from otel_ml.resource_sampler.gpu._model_memory import model_memory

TABLE = [
    ("hw.gpu.utilization", "general", "nvmlDeviceGetSamples", "value samples 20", 0.2),
    ("hw.gpu.utilization", "encoder", "nvmlDeviceGetEncoderUtilization", "value encoder 9", 0.09),
    ("hw.gpu.utilization", "decoder", "nvmlDeviceGetDecoderUtilization", "value decoder 8", 0.08),
    ("hw.gpu.memory.usage", "", "nvmlDeviceGetMemoryInfo_v2", "value memory.free 85899345000", 920),
    ("hw.gpu.memory.limit", "", "nvmlDeviceGetMemoryInfo_v2", "value memory.total 100000000000", 100_000_000_000),
    ("hw.gpu.memory.utilization", "", "nvmlDeviceGetMemoryInfo_v2", "value memory.free 42949672960", 0.5),
    ("hw.gpu.io", "transmit", "nvmlDeviceGetFieldValues", "value field:197 77", 77),
    ("hw.gpu.io", "receive", "nvmlDeviceGetFieldValues", "value field:198 78", 78),
    ("hw.energy", "", "nvmlDeviceGetFieldValues", "value field:83 9000", 9.0),
    ("hw.power", "", "nvmlDeviceGetFieldValues", "value field:185 1500 type 1", 1.5),
    ("otelml.gpu.power.limit", "", "nvmlDeviceGetFieldValues", "value field:190 2500 type 1", 2.5),
    ("hw.temperature", "gpu", "nvmlDeviceGetTemperatureV", "value temperature 33", 33.0),
    ("hw.temperature", "memory", "nvmlDeviceGetFieldValues", "value field:82 34 type 1", 34.0),
    ("hw.temperature.limit", "high.degraded", "nvmlDeviceGetTemperatureThreshold", "value threshold:1 80", 80.0),
    ("hw.temperature.limit", "high.critical", "nvmlDeviceGetTemperatureThreshold", "value threshold:0 99", 99.0),
    ("hw.fan.speed_ratio", "", "nvmlDeviceGetFanSpeed_v2", "value fan 110", 1.1),
    ("hw.errors", "corrected", "nvmlDeviceGetFieldValues", "value field:3 5", 5),
    ("hw.errors", "uncorrected", "nvmlDeviceGetFieldValues", "value field:4 6", 6),
    ("hw.errors", "pcie_replay", "nvmlDeviceGetFieldValues", "value field:94 7 type 1", 7),
    ("hw.status", "degraded", "nvmlDeviceGetCurrentClocksEventReasons", "value reasons 128", 1),
    ("hw.status", "degraded", "nvmlDeviceGetFieldValues", "value field:230 2 type 1", 1),
    ("hw.status", "predicted_failure", "nvmlDeviceGetFieldValues", "value field:144 1 type 1", 1),
    ("hw.status", "predicted_failure", "nvmlDeviceGetFieldValues", "value field:145 1 type 1", 1),
    ("hw.status", "predicted_failure", "nvmlDeviceGetFieldValues", "value field:31 1 type 1", 1),
    ("otelml.gpu.memory.remapped_rows", "corrected", "nvmlDeviceGetFieldValues", "value field:142 3 type 1", 3),
    ("otelml.gpu.memory.remapped_rows", "uncorrected", "nvmlDeviceGetFieldValues", "value field:143 4 type 1", 4),
    ("otelml.gpu.clock.frequency", "graphics", "nvmlDeviceGetClockInfo", "value clock:0 1000", 1e9),
    ("otelml.gpu.clock.frequency", "sm", "nvmlDeviceGetClockInfo", "value clock:1 1001", 1.001e9),
    ("otelml.gpu.clock.frequency", "memory", "nvmlDeviceGetClockInfo", "value clock:2 1002", 1.002e9),
    ("otelml.gpu.clock.frequency", "video", "nvmlDeviceGetClockInfo", "value clock:3 1003", 1.003e9),
    ("otelml.gpu.clock.throttle.time", "sw_power_cap", "nvmlDeviceGetFieldValues", "value field:74 1e9", 1.0),
    ("otelml.gpu.clock.throttle.time", "thermal", "nvmlDeviceGetFieldValues", "value field:75 2e9", 2.0),
    ("otelml.gpu.clock.throttle.time", "sync_boost", "nvmlDeviceGetFieldValues", "value field:76 3e9", 3.0),
    ("otelml.gpu.clock.throttle.time", "sw_thermal", "nvmlDeviceGetFieldValues", "value field:269 4e9", 4.0),
    ("otelml.gpu.clock.throttle.time", "hw_thermal", "nvmlDeviceGetFieldValues", "value field:270 5e9", 5.0),
    ("otelml.gpu.clock.throttle.time", "hw_power_brake", "nvmlDeviceGetFieldValues", "value field:271 6e9", 6.0),
    ("otelml.gpu.memory.activity", "", "nvmlDeviceGetUtilizationRates", "value memory_activity 66", 0.66),
    ("otelml.gpu.nvlink.io", "transmit", "nvmlDeviceGetFieldValues", "value field:202 88", 88),
    ("otelml.gpu.nvlink.io", "receive", "nvmlDeviceGetFieldValues", "value field:204 89", 89),
    ("otelml.gpu.sm.activity", "", "nvmlGpmMetricsGet", "value gpm:2 1", 0.01),
    ("otelml.gpu.sm.occupancy", "", "nvmlGpmMetricsGet", "value gpm:3 2", 0.02),
    ("otelml.gpu.tensor.activity", "", "nvmlGpmMetricsGet", "value gpm:5 3", 0.03),
    ("otelml.gpu.dram.activity", "", "nvmlGpmMetricsGet", "value gpm:10 4", 0.04),
    ("otelml.gpu.process.count", "other", "nvmlDeviceGetComputeRunningProcesses_v3", "process 900 1", 1),
]
"""Metric, the attribute that distinguishes its series, the call, the answer of that call, and the figure that it gives."""
FALLBACKS = [
    ("hw.gpu.utilization", "general", "nvmlDeviceGetUtilizationRates", "value utilization 21", 0.21, ["return nvmlDeviceGetSamples 3"]),
    ("hw.power", "", "nvmlDeviceGetFieldValues", "value field:186 1600 type 1", 1.6, ["return field:185 3"]),
    ("hw.power", "", "nvmlDeviceGetPowerUsage", "value power 1700", 1.7, ["return field:185 3", "return field:186 3"]),
    ("otelml.gpu.power.limit", "", "nvmlDeviceGetEnforcedPowerLimit", "value power_limit 2600", 2.6, ["return field:190 3"]),
    ("hw.temperature", "gpu", "nvmlDeviceGetTemperature", "value temperature 35", 35.0, ["return nvmlDeviceGetTemperatureV 13"]),
    ("hw.gpu.memory.usage", "", "nvmlDeviceGetMemoryInfo", "value memory.free 85899345000", 920, ["return nvmlDeviceGetMemoryInfo_v2 13"]),
    ("otelml.gpu.nvlink.io", "transmit", "nvmlDeviceGetFieldValues", "value field:138 3", 3072, ["return field:202 3"]),
    ("otelml.gpu.nvlink.io", "receive", "nvmlDeviceGetFieldValues", "value field:139 4", 4096, ["return field:204 3"]),
    (
        "otelml.gpu.clock.throttle.active",
        "hw_power_brake",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "value reasons 128",
        1,
        [f"return field:{n} 3" for n in (74, 75, 76, 269, 270, 271)],
    ),
    (
        "otelml.gpu.clock.throttle.active",
        "hw_power_brake",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        "value reasons 128",
        1,
        ["return nvmlDeviceGetCurrentClocksEventReasons 13", *[f"return field:{n} 3" for n in (74, 75, 76, 269, 270, 271)]],
    ),
]  # fmt: skip
"""The same, and what the driver must lack for it."""


def figure(report, metric, distinction):
    """Values of the series of one GPU that carry the attribute."""
    rows = rows_of(report, metric)
    return [row[1] for row in rows if not distinction or distinction in row[2].values()]


@pytest.mark.parametrize(
    ("metric", "distinction", "call", "answer", "expected", "lacks"), [*[(*row, []) for row in TABLE], *FALLBACKS]
)
def test_each_figure_comes_from_its_call(driver, gpus, metric, distinction, call, answer, expected, lacks):
    """The answer of the call is the figure; without an answer there is no figure."""
    driver.load(*[f"0 - 0 {rule}" for rule in [answer, *lacks]], gpus=1)
    source = gpus(gpm=True)
    for second in (30, 60):
        driver.at(second)
        report = source.read()
    assert figure(report, metric, distinction) == [expected]
    assert driver.calls(call) > 0


def test_xids_come_from_events(driver, gpus):
    """The last row of the devices: `hw.errors` by code, through the thread that asks for events."""
    driver.load("40 - 0 event 8 79", gpus=1)
    source = gpus(poll=0.01)
    for second in (30, 41):
        driver.at(second)
        source.read()
    for _ in range(2000):
        if figure(source.read(), "hw.errors", "xid_79") == [1]:
            break
        source._driver._watcher._stop.wait(0.005)
    assert figure(source.read(), "hw.errors", "xid_79") == [1]


def test_shares_of_process_and_model_come_from_lists_and_allocator(driver, gpus, tmp_path, monkeypatch):
    """The process list, the utilization by process, and the allocator of a torch that is loaded."""
    folder = tmp_path / "proc" / "500" / "fd"
    folder.mkdir(parents=True)
    (folder / "3").symlink_to("/dev/nvidia-uvm")
    driver.load("0 - 0 process 500 4096", "0 - 0 busy 500 30", gpus=1)
    driver.at(30)
    report = gpus(pid=500).read()
    assert figure(report, "otelml.process.gpu.memory.usage", "pid") == [4096]
    assert figure(report, "otelml.process.gpu.utilization", "pid") == [0.3]
    held = [0]
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda _: SimpleNamespace(uuid="a"),
        memory_reserved=lambda _: held[0],
        memory_allocated=lambda _: held[0],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    with model_memory("fraud", "1") as memory:
        held[0] = 512
    report = gpus().read()
    memory.release()
    assert figure(report, "otelml.model.gpu.memory.usage", "fraud") == [512]
    assert figure(report, "otelml.process.gpu.memory.usage", "framework") == [512]


def test_every_metric_of_the_source_has_a_row():
    """Every metric has a row, and every row is in the README."""
    shares = {"otelml.process.gpu.memory.usage", "otelml.process.gpu.utilization", "otelml.model.gpu.memory.usage"}
    rows = {row[0] for row in (*TABLE, *FALLBACKS)} | shares
    assert {metric.name for metric in GpuSource.metrics} == rows
    readme = (Path(semconv.__file__).parents[1] / "resource_sampler" / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted({*rows, semconv.NVML_CALL_DURATION.name}) if f"`{name}`" not in readme] == []
