from __future__ import annotations

import logging
import time

import pytest
from nvml_fixtures import rows_of

from otel_ml.resource_sampler import Gap

MIG = ("0 - 0 value mig.mode 1", "0 - 0 value mig.most 7")
MODEL = "NVIDIA H100 MIG 1g.10gb"


def instance(number, uuid, slice_id, *, free, window="0 -"):
    """The rules of one MIG device of GPU 0, with 10 GB of memory."""
    at = f"{window} 0:{number}"
    return (
        f"{at} value mig {slice_id}",
        f"{at} text uuid {uuid}",
        f"{at} text name {MODEL}",
        f"{at} value memory.total 10000000000",
        f"{at} value memory.free {free}",
        f"{at} value memory.reserved 0",
        f"{at} value gpm:2 {slice_id}",
    )


TWO = (*instance(0, "MIG-x", 7, free=4_000_000_000), *instance(2, "MIG-y", 9, free=9_000_000_000))


def run(driver, source, *seconds):
    reports = []
    for second in seconds:
        driver.at(second)
        reports.append(source.read())
    return reports


def memory(report, metric="hw.gpu.memory.usage"):
    return {row[2]["hw.id"]: row[1] for row in rows_of(report, metric)}


def test_instances_have_their_memory_and_their_parent(driver, gpus):
    """Gaps in the numbering are normal; the parent's UUID is `hw.parent`."""
    driver.load(*MIG, *TWO)
    (report,) = run(driver, gpus(), 30)
    base = {"hw.vendor": "NVIDIA", "hw.model": MODEL, "hw.parent": "GPU-a"}
    assert [row for row in rows_of(report, "hw.gpu.memory.usage") if row[2]["hw.id"] != "GPU-b"] == [
        ("hw.gpu.memory.usage", 6_000_000_000, {"hw.id": "MIG-x", "hw.name": "GPU 0 MIG 0", **base}),
        ("hw.gpu.memory.usage", 1_000_000_000, {"hw.id": "MIG-y", "hw.name": "GPU 0 MIG 2", **base}),
    ]
    assert memory(report, "hw.gpu.memory.limit") == {"MIG-x": 10**10, "MIG-y": 10**10, "GPU-b": 85899345920}


def test_a_parent_keeps_only_what_belongs_to_the_card(driver, gpus):
    """It has power, energy, temperature, clocks and fans; figures of its instances are not reported twice."""
    driver.load(*MIG, *TWO)
    (report,) = run(driver, gpus(), 30)
    of_parent = {row[0] for row in rows_of(report) if row[2].get("hw.id", "").startswith("GPU-a")}
    assert of_parent == {
        "hw.energy",
        "hw.power",
        "hw.temperature",
        "hw.temperature.limit",
        "hw.fan.speed_ratio",
        "hw.gpu.io",
        "hw.errors",
        "hw.status",
        "otelml.gpu.power.limit",
        "otelml.gpu.clock.frequency",
        "otelml.gpu.clock.throttle.time",
        "otelml.gpu.memory.remapped_rows",
        "otelml.gpu.nvlink.io",
    }


def test_compute_instances_of_one_memory_are_counted_once(driver, gpus):
    """They share the GPU instance and its memory."""
    driver.load(*MIG, *TWO, *instance(3, "MIG-z", 9, free=9_000_000_000))
    (report,) = run(driver, gpus(), 30)
    assert memory(report) == {"MIG-x": 6_000_000_000, "MIG-y": 1_000_000_000, "GPU-b": 21474836480}


def test_instances_that_are_rebuilt_are_found_again(driver, gpus, caplog):
    """A handle that now means another instance is not used; one line reports the change."""
    caplog.set_level(logging.INFO, "otel_ml")
    driver.load(
        *MIG,
        *instance(0, "MIG-x", 7, free=4_000_000_000, window="0 45"),
        *instance(0, "MIG-new", 8, free=1_000_000_000, window="45 -"),
    )
    reports = run(driver, gpus(), 30, 40, 50, 60)
    assert [set(memory(report)) - {"GPU-b"} for report in reports] == [{"MIG-x"}, {"MIG-x"}, set(), {"MIG-new"}]
    assert Gap("GPU 0 MIG 0", "absent", "the layout of instances changed") in reports[2].gaps
    assert caplog.messages == ["otel-ml: the MIG instances of GPU GPU-a were rebuilt: 1 now"]


def test_an_instance_that_is_destroyed_is_no_lost_gpu(driver, gpus):
    """Its handle is stale, its parent works."""
    driver.load(*MIG, *instance(0, "MIG-x", 7, free=1, window="0 45"), "45 - 0:0 return * 2")
    reports = run(driver, gpus(), 30, 50, 60)
    assert [set(memory(report)) - {"GPU-b"} for report in reports] == [{"MIG-x"}, set(), set()]
    assert {row[2]["hw.state"] for row in rows_of(reports[-1], "hw.status") if row[1]} == {"ok"}


def test_the_drivers_event_of_a_new_layout_is_acted_on_at_the_next_tick(driver, gpus):
    """The layout is read again without waiting for the slow tick."""
    driver.load(*MIG, *TWO[:7], *instance(1, "MIG-y", 9, free=5, window="41 -"), "41 - 0 event 256 0")
    source = gpus(poll=0.01)
    run(driver, source, 30, 40)
    driver.at(42)
    end = time.monotonic() + 60
    while not source._driver._watcher.layout_changed.is_set():
        assert time.monotonic() < end
        time.sleep(0.005)
    (report,) = run(driver, source, 43)
    assert set(memory(report)) == {"MIG-x", "MIG-y", "GPU-b"}


def test_mig_that_is_switched_on_and_off_at_run_time(driver, gpus):
    """The GPU's own memory and utilization go and come back."""
    driver.load("35 95 0 value mig.mode 1", "35 95 0 value mig.most 7", "0 34 0 value mig.mode 0", *TWO)
    driver.load("0 35 0 value mig.mode 0", "35 95 0 value mig.mode 1", "95 - 0 value mig.mode 0", MIG[1], *TWO)
    reports = run(driver, gpus(), 30, 60, 90, 120)
    assert [set(memory(report)) for report in reports] == [
        {"GPU-a", "GPU-b"},
        {"MIG-x", "MIG-y", "GPU-b"},
        {"MIG-x", "MIG-y", "GPU-b"},
        {"GPU-a", "GPU-b"},
    ]
    assert [
        {row[2]["hw.id"] for row in rows_of(report, "hw.gpu.utilization") if row[2]["hw.gpu.task"] == "general"}
        for report in reports
    ] == [{"GPU-a", "GPU-b"}, {"GPU-b"}, {"GPU-b"}, {"GPU-a", "GPU-b"}]


def test_a_fast_tick_is_two_calls_an_instance(driver, gpus):
    """One call reads its memory, one its identity."""
    driver.load(*MIG, *TWO, gpus=1)
    source = gpus()
    run(driver, source, 30)
    driver.forget()
    run(driver, source, 40)
    assert driver.table() == {
        "nvmlDeviceGetFieldValues": 1,
        "nvmlDeviceGetMemoryInfo_v2": 2,
        "nvmlDeviceGetUUID": 2,
    }


def test_processes_of_an_instance_are_its_own_and_never_utilization(driver, gpus):
    """The only visible device without a CUDA process has no invented share."""
    driver.load(*MIG, *TWO, "0 - 0:0 process 77 5000", gpus=1)
    (report,) = run(driver, gpus(), 30)
    rows = rows_of(report, "otelml.gpu.process.count")
    assert {(row[2]["hw.id"], row[2]["otelml.gpu.process.owner"]): row[1] for row in rows} == {
        ("MIG-x", "self"): 0,
        ("MIG-x", "other"): 1,
        ("MIG-y", "self"): 0,
        ("MIG-y", "other"): 0,
    }
    assert driver.calls("nvmlDeviceGetProcessUtilization") == 0


def test_gpm_is_the_utilization_of_instances(driver, gpus):
    """Figures begin at the second tick, by the parent and the instance's number; all samples are freed at the end."""
    driver.load(*MIG, *TWO)
    source = gpus(gpm=True)
    reports = run(driver, source, 30, 40)
    assert [memory(report, "otelml.gpu.sm.activity") for report in reports] == [
        {},
        {"MIG-x": 0.07, "MIG-y": 0.09, "GPU-b": 0.625},
    ]
    assert driver.held == (1, 1, 6)


def test_an_instance_that_goes_under_its_gpm_sample_is_no_lost_gpu(driver, gpus):
    """Its parent works, and the layout is read again at the next tick."""
    driver.load(*MIG, *TWO, "45 55 0 return nvmlGpmMigSampleGet 2")
    reports = run(driver, gpus(gpm=True), 30, 40, 50, 60, 70)
    states = [{row[2]["hw.state"] for row in rows_of(report, "hw.status") if row[1]} for report in reports]
    assert states == [{"ok"}] * 5
    assert set(memory(reports[-1], "otelml.gpu.sm.activity")) == {"MIG-x", "MIG-y", "GPU-b"}


def test_gpm_is_not_asked_of_what_does_not_have_it(driver, gpus):
    """Before Hopper it stays a gap."""
    driver.load("0 - 0 value gpm 0")
    source = gpus(gpm=True)
    reports = run(driver, source, 30, 40, 50)
    assert set(memory(reports[-1], "otelml.gpu.sm.activity")) == {"GPU-b"}
    assert Gap("GPU 0 GPM", "unsupported", "no GPM before Hopper") in reports[-1].gaps
    assert driver.calls("nvmlGpmQueryDeviceSupport") == 2


@pytest.mark.parametrize(("seconds", "given"), [(0.05, False), (0.2, True), (599.0, True), (601.0, False)])
def test_gpm_wants_a_sensible_time_between_samples(driver, gpus, seconds, given):
    """The time is neither shorter than the hardware needs nor too long to describe the present."""
    reports = run(driver, gpus(gpm=True, slow=1e6), 30, 30 + seconds)
    assert bool(memory(reports[-1], "otelml.gpu.sm.activity")) is given


def test_gpm_values_out_of_range_are_no_points(driver, gpus):
    """A failing driver returns 0 or nonsense."""
    driver.load("0 - * value gpm:2 104", "0 - * value gpm:5 -1", gpus=1)
    reports = run(driver, gpus(gpm=True), 30, 40)
    assert {row[0] for row in rows_of(reports[-1]) if row[0].endswith(("activity", "occupancy"))} == {
        "otelml.gpu.sm.occupancy",
        "otelml.gpu.dram.activity",
        "otelml.gpu.memory.activity",
    }
