from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "nvml"))
from nvml_fixtures import driver, nvml_library, rows_of  # noqa: E402, F401 - fixtures

from otel_ml import _guard
from otel_ml.resource_sampler import GpuSource
from otel_ml.resource_sampler._points import Points

CODES = (*range(1, 32), 999, -1)
"""All of nvml.h, a future code, and an invalid one."""
ONE_OF_EACH_KIND = (1, 3, 4, 9, 13, 15, 25, 999, -1)
"""Driver gone, not supported, no permission, not loaded, too old; GPU lost, broken; an invalid code."""
DRIVER_GONE = {1, 9, 12, 18}
ANY_GPU = (
    "nvmlInitWithFlags",
    "nvmlSystemGetDriverVersion",
    "nvmlDeviceGetCount_v2",
    "nvmlEventSetCreate",
    "nvmlEventSetWait_v2",
    "nvmlEventSetFree",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleFree",
    "nvmlGpmMetricsGet",
    "nvmlShutdown",
)
ONE_GPU = (
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetSamples",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetTemperatureThreshold",
    "nvmlDeviceGetNumFans",
    "nvmlDeviceGetFanSpeed_v2",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetProcessUtilization",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlDeviceRegisterEvents",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleGet",
)
ONE_PARENT = (
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlGpmMigSampleGet",
)
OLDER = (
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)
"""Called instead of newer functions and of fields."""
LACKS_NEWER = (
    "0 - * return nvmlDeviceGetMemoryInfo_v2 13",
    "0 - * return nvmlDeviceGetTemperatureV 13",
    "0 - * return nvmlDeviceGetCurrentClocksEventReasons 13",
    *[f"0 - * return field:{field} 3" for field in (185, 186, 190)],
    "0 - * value power 310500",
    "0 - * value power_limit 700000",
)
MIG = (
    "0 - 2 value mig.mode 1",
    "0 - 2 value mig.most 7",
    "0 - 2:1 value mig 7",
    "0 - 2:1 text uuid MIG-x",
    "0 - 2:1 value memory.total 1000",
    "0 - 2:1 value memory.free 400",
)
RESETS = {
    "hw.energy",
    "hw.gpu.io",
    "otelml.gpu.clock.throttle.time",
    "otelml.gpu.nvlink.io",
    "otelml.gpu.memory.remapped_rows",
}
"""Figures that change with time."""
FALLBACKS = {"hw.gpu.utilization", "hw.status", "hw.power", "hw.temperature", "otelml.gpu.clock.throttle.active"}
"""States, and figures that another call provides when the first one fails."""


def source_of(driver, tmp_path, **settings):  # noqa: F811
    defaults = {"clock": driver.clock, "jitter": lambda: 0.5, "poll": 0.02, "proc": tmp_path / "proc", "deadline": 30.0}
    return GpuSource(**{**defaults, **settings})


def still(report):
    """Returns the readings of all GPUs that do not change over time on a healthy machine."""
    return {(name, value, frozenset(tags.items())) for name, value, tags in rows_of(report) if name not in RESETS}


def of(gpu, rows):
    return {
        row for row in rows if any(str(value).startswith(gpu) for key, value in row[2] if key in {"hw.id", "hw.parent"})
    }


def run(driver, source, *seconds):  # noqa: F811
    reports = []
    for second in seconds:
        driver.at(second)
        reports.append(source.read())
    return reports


def test_the_lists_hold_every_function_that_is_called(driver, tmp_path):  # noqa: F811
    """The lists name every driver function that is called."""
    called = set()
    for rules in ((), LACKS_NEWER):
        driver.load(*MIG, *rules, "45 - 0 return nvmlDeviceGetSamples 3", gpus=3)
        source = source_of(driver, tmp_path, gpm=True)
        run(driver, source, 30, 40, 50, 60)
        called |= driver.table().keys()
        source.close()
        called |= driver.table().keys()
    assert called - {"nvmlEventSetWait_v2"} == {*ANY_GPU, *ONE_GPU, *ONE_PARENT} - {"nvmlEventSetWait_v2"}


@pytest.mark.parametrize("codes", [ONE_OF_EACH_KIND, pytest.param(CODES, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("function", [*ANY_GPU, *ONE_GPU, *ONE_PARENT])
def test_every_code_of_every_call_is_survived(driver, tmp_path, caplog, function, codes):  # noqa: F811
    """A code costs one figure, one GPU or the driver; nothing is invented, all other figures stay, and all recover."""
    caplog.set_level(logging.INFO, "otel_ml")
    lacks = LACKS_NEWER if function in OLDER else ()
    target = "*" if function in ANY_GPU else "2" if function in ONE_PARENT else "0"
    _guard.reset()
    for code in codes:
        caplog.clear()
        rules = [f"45 105 {target} return {function} {code}"]
        if target == "2":
            rules.append(f"45 105 2:1 return {function} {code}")
        driver.load(*MIG, *lacks, *rules, gpus=3)
        source = source_of(driver, tmp_path, gpm=True, poll=3600.0)
        before = still(run(driver, source, 30, 40)[-1])
        during = run(driver, source, 50, 60, 100)
        after = run(driver, source, 110, 170, 230, 300, 340)[-1]
        source.close()
        case = f"{function} {code}"
        check_during(before, during, case, whole="GPU-b" if target != "*" and code not in DRIVER_GONE else None)
        is_for_good = code in {2, 3, 13, 22, 25, 26}
        assert still(after) == before or is_for_good, case
        assert still(after) <= before | {row for row in still(after) if row[0] in FALLBACKS}, case
        assert target == "*" or of("GPU-b", still(after)) == of("GPU-b", before), case
        assert len(caplog.messages) <= 2, (case, caplog.messages)
        assert (driver.overlaps, driver.after_shutdown) == (0, 0), case
        assert _guard.counts() == {}, case


def check_during(before, reports, case, *, whole):
    """Checks that there is no row that a healthy machine lacks, except states, and that the other GPU is complete."""
    for report in reports:
        rows = still(report)
        assert {row for row in rows - before if row[0] not in FALLBACKS} == set(), case
        if whole is not None:
            assert of(whole, rows) == of(whole, before), case


@pytest.mark.parametrize("function", ["nvmlDeviceGetFieldValues", "nvmlInitWithFlags", "nvmlDeviceGetClockInfo"])
def test_codes_from_the_very_beginning_are_survived(driver, tmp_path, function):  # noqa: F811
    """Codes are survived even if no call ever worked."""
    _guard.reset()
    for code in CODES:
        driver.load(f"0 - * return {function} {code}", gpus=1)
        source = source_of(driver, tmp_path, poll=3600.0)
        run(driver, source, 30, 40, 50, 60)
        source.close()
        assert (driver.overlaps, driver.after_shutdown, _guard.counts()) == (0, 0, {}), code


HOUR = 3600
FIRST, SECOND = (6 * HOUR, 6 * HOUR + 120), (15 * HOUR, 15 * HOUR + 120)


def day(rate):
    """Returns a scenario of a day: two driver reloads, a lost GPU, a wrapping counter, events."""
    rules = [f"0 - * value field:197 0 rate {rate} bits 32 type 1", "0 - * value field:83 1000 rate 300000"]
    for start, end in (FIRST, SECOND):
        rules += [
            f"{start} {end} * return nvmlInitWithFlags 9",
            f"{start} {end} * return nvmlDeviceGetFieldValues 9",
            f"{end} - * value field:197 0 rate {rate} bits 32 type 1",
            f"{end} - * value field:83 0 rate 300000",
            f"{end} - * value field:74 0 rate 1000000",
            f"{end} - * value field:202 0 rate 1000",
            f"{end} - * value field:3 0",
        ]
    rules.append(f"{10 * HOUR} {10 * HOUR + 600} 0 return * 15")
    return rules


@pytest.mark.parametrize(
    ("interval", "rate"), [(60, 20_000_000), pytest.param(10, 100_000_000, marks=pytest.mark.slow)]
)
def test_a_day_with_wraps_reloads_and_a_lost_gpu(driver, tmp_path, caplog, interval, rate):  # noqa: F811
    """Series never fall, threads survive, each change is one log line, and the counted total is correct."""
    caplog.set_level(logging.INFO, "otel_ml")
    driver.load(*day(rate))
    source = source_of(driver, tmp_path, poll=0.05)
    points, last, threads, falls = Points(), {}, set(), []
    for second in range(interval, 24 * HOUR + 1, interval):
        driver.at(second)
        report = source.read()
        threads.add(source._worker._thread)
        for reading in report.readings:
            if reading.metric.instrument == "counter":
                key = (reading.metric.name, frozenset(reading.attributes.items()))
                if reading.value < last.get(key, 0):
                    falls.append((second, key))
                last[key] = reading.value
        assert points.convert(report.readings)[1] == 0
    source.close()
    assert falls == []
    assert len(threads) == 1
    assert _guard.counts() == {}
    assert (driver.overlaps, driver.after_shutdown, driver.held) == (0, 0, (0, 0, 0))
    assert driver.calls("nvmlDeviceGetPcieThroughput") == 0
    assert caplog.messages == [
        "otel-ml: the NVIDIA driver is gone (Driver Not Loaded): GPU readings are absent until it is back",
        "otel-ml: the NVIDIA driver answers: GPU readings start",
        "otel-ml: GPU GPU-a is lost (GPU is lost): its readings are absent until it is back",
        "otel-ml: GPU GPU-a is back",
        "otel-ml: the NVIDIA driver is gone (Driver Not Loaded): GPU readings are absent until it is back",
        "otel-ml: the NVIDIA driver answers: GPU readings start",
    ]
    awake = 24 * HOUR - 2 * 120  # counters stop only while the driver is gone
    energy = {dict(tags)["hw.id"]: value for (name, tags), value in last.items() if name == "hw.energy"}
    assert energy["GPU-b"] == pytest.approx(300 * awake, rel=0.002)
    moved = [value for (name, tags), value in last.items() if name == "hw.gpu.io" and ("hw.id", "GPU-b") in tags]
    assert max(moved) == pytest.approx(rate * awake, rel=0.002)
