"""A device that failed before the first reading is shown, logged once and counted.

NVIDIA/dcgm-exporter#604, #348; aws/eks-node-monitoring-agent#94; NVIDIA/NVSentinel#684 and cBio/cbio-cluster#365 (one
GPU fewer after a restart of the machine, and no alert).
"""

from __future__ import annotations

import pytest
from nvml_fixtures import rows_of

from otel_ml.resource_sampler import Gap, ResourceSampler

DEAD = "0 - 0 return nvmlDeviceGetHandleByIndex_v2 15"


def kernel_lists(tmp_path, *addresses):
    for address in addresses:
        (tmp_path / "proc" / "driver" / "nvidia" / "gpus" / address).mkdir(parents=True)


def states(report):
    """State of each GPU, by its id."""
    return {row[2]["hw.id"]: row[2]["hw.state"] for row in rows_of(report, "hw.status") if row[1]}


def test_a_gpu_that_is_dead_at_boot_is_failed_from_the_first_tick_on(driver, gpus, caplog):
    """It has its state, one line with its index, and a counted failure at every tick."""
    driver.load(DEAD)
    source = gpus()
    sampler = ResourceSampler(sources=[source], budget=64)
    for second in (0, 10, 20):
        driver.at(second)
        snapshot = sampler.sample()
        assert states(snapshot.sources[0]) == {"GPU 0": "failed", "GPU-b": "ok"}
        assert [gap for gap in snapshot.sources[0].gaps if gap.kind == "lost"] == [Gap("gpu 0", "lost", "GPU is lost")]
    lines = [line for line in caplog.messages if "GPU 0" in line]
    assert lines == [
        "otel-ml: GPU 0 has not answered since this start (GPU is lost): hw.status shows it as failed",
    ]


def test_its_place_on_the_bus_names_it_where_the_kernel_lists_it(driver, gpus, tmp_path, caplog):
    """The person who replaces the card needs its address, not its index."""
    kernel_lists(tmp_path, "0000:0b:00.0", "0000:3C:00.0")
    driver.load(DEAD, "0 - 1 text pci 00000000:3C:00.0")
    assert states(gpus().read()) == {"0000:0b:00.0": "failed", "GPU-b": "ok"}
    assert any("GPU 0 at 0000:0b:00.0 has not answered" in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("share", "failed"), [("containers", {"0000:0b:00.0": "failed"}), ("process", {})], ids=["machine", "container"]
)
def test_a_gpu_that_the_driver_does_not_even_count_is_failed(driver, gpus, tmp_path, share, failed):
    """On a whole machine each GPU of the kernel's list should answer; in a container with some of them it need not."""
    kernel_lists(tmp_path, "0000:0b:00.0", "0000:3c:00.0")
    driver.load("0 - 0 text pci 00000000:3C:00.0", gpus=1)
    assert states(gpus(attribution=share).read()) == {**failed, "GPU-a": "ok"}


def test_the_only_gpu_of_a_machine_is_failed_if_the_driver_counts_none(driver, gpus, tmp_path):
    """nvidia-smi says "No devices were found"; the kernel module still lists the card."""
    kernel_lists(tmp_path, "0000:0b:00.0")
    driver.load(gpus=0)
    source = gpus()
    assert states(source.read()) == {"0000:0b:00.0": "failed"}
    driver.load("0 - 0 text pci 00000000:0B:00.0", gpus=1)
    driver.at(60)
    assert states(source.read()) == {"GPU-a": "ok"}


def test_a_gpu_that_answers_later_takes_its_place(driver, gpus, caplog):
    """After a reset the card has its readings, and one line says so."""
    caplog.set_level("INFO", "otel_ml")
    driver.load("0 50 0 return nvmlDeviceGetHandleByIndex_v2 15")
    source = gpus()
    source.read()
    driver.at(60)
    assert states(source.read()) == {"GPU-a": "ok", "GPU-b": "ok"}
    assert "otel-ml: GPU 0 answers now" in caplog.messages


def test_a_gpu_that_was_read_before_is_not_shown_twice(driver, gpus):
    """One that is lost while running keeps its identity, and has no second one."""
    driver.load("5 - 0 return * 15")
    source = gpus()
    assert states(source.read()) == {"GPU-a": "ok", "GPU-b": "ok"}
    for second in (10, 40, 70, 100):
        driver.at(second)
        assert states(source.read()) == {"GPU-a": "failed", "GPU-b": "ok"}


def test_a_gpu_that_is_not_ours_has_not_failed(driver, gpus):
    """Without the permission to open it nothing is known of its state."""
    driver.load("0 - 0 return nvmlDeviceGetHandleByIndex_v2 4")
    report = gpus().read()
    assert states(report) == {"GPU-b": "ok"}
    assert [gap.kind for gap in report.gaps if gap.what == "gpu 0"] == ["permission"]
