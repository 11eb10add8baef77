from __future__ import annotations

import logging

import pytest
from nvml_fixtures import A, B, figures, in_any_order, rows_of, status, xids

from otel_ml.resource_sampler import Gap


@pytest.fixture
def lines(caplog):
    """The log lines so far, with their levels."""
    caplog.set_level(logging.INFO, "otel_ml")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "otel_ml"]


def run(driver, source, *seconds):
    """The reports of several readings."""
    reports = []
    for second in seconds:
        driver.at(second)
        reports.append(source.read())
    return reports


def whole(*gpus, t):
    """All rows of healthy GPUs."""
    return in_any_order([row for gpu in gpus for row in (*figures(*gpu, t=t), *status(*gpu, "ok"), *xids(*gpu))])


def states(report):
    """State by UUID."""
    return {row[2]["hw.id"]: row[2]["hw.state"] for row in rows_of(report, "hw.status") if row[1] == 1}


def test_no_driver_is_no_point_and_one_line(driver, gpus, lines):
    """A machine without a GPU is no fault; it is looked for again, at first soon, then once a minute."""
    driver.load("0 - * return nvmlInitWithFlags 9")
    source = gpus()
    reports = run(driver, source, *range(0, 600, 10))
    missing = Gap("nvml", "driver", "Driver Not Loaded")
    assert {(report.readings, report.gaps) for report in reports} == {((), (missing,))}
    assert 10 <= driver.calls("nvmlInitWithFlags") <= 14
    assert lines() == [("INFO", "otel-ml: no NVIDIA GPU can be read (Driver Not Loaded): GPU readings are absent")]


def test_a_driver_that_arrives_later_is_found(driver, gpus, lines):
    """GPUs are read once the driver is there, even if the sampler started first."""
    driver.load("0 20 * return nvmlInitWithFlags 12", "20 40 * return nvmlInitWithFlags 9")
    reports = run(driver, gpus(), 0, 10, 20, 30, 40, 60, 90)
    assert [len(report.readings) > 0 for report in reports] == [False] * 4 + [True] * 3
    assert lines() == [
        ("INFO", "otel-ml: no NVIDIA GPU can be read (NVML Shared Library Not Found): GPU readings are absent"),
        ("INFO", "otel-ml: the NVIDIA driver answers: GPU readings start"),
    ]


def test_no_visible_gpu_is_not_healthy_and_idle(driver, gpus):
    """A driver without visible GPUs, as with a broken device mount, is a gap."""
    driver.load(gpus=0)
    (report,) = run(driver, gpus(), 30)
    assert (report.readings, report.gaps) == ((), (Gap("nvml", "driver", "the driver shows no GPU"),))


@pytest.mark.parametrize("code", [1, 9, 12, 18])
def test_a_driver_that_goes_takes_all_gpus_and_comes_back(driver, gpus, lines, code):
    """The library is shut down, initialised again, and everything is found again; one line reports each change."""
    driver.load(f"45 75 * return nvmlDeviceGetFieldValues {code}", f"45 75 * return nvmlInitWithFlags {code}")
    source = gpus()
    reports = run(driver, source, 30, 40, 50, 60, 70, 80, 90, 100, 110, 140)
    assert [states(report) for report in reports[2:5]] == [{"GPU-a": "failed", "GPU-b": "failed"}] * 3
    assert {row[0] for row in rows_of(reports[3])} == {"hw.status", "hw.errors"}
    assert in_any_order(rows_of(reports[-1])) == whole(A, B, t=140)
    text = [line for _, line in lines()]
    assert [level for level, _ in lines()] == ["WARNING", "INFO"]
    assert text[0].startswith("otel-ml: the NVIDIA driver is gone (")
    assert text[0].endswith("; restart this process to use the new driver") is (code == 18)
    assert text[1] == "otel-ml: the NVIDIA driver answers: GPU readings start"


@pytest.mark.parametrize("code", [11, 15, 16, 28])
def test_a_lost_gpu_is_failed_and_the_other_is_still_read(driver, gpus, lines, code):
    """Only its return is checked, its state is failed, and one line is logged."""
    driver.load(f"45 - 0 return * {code}")
    source = gpus()
    reports = run(driver, source, 30, 50, 60, 70, 90)
    assert in_any_order(rows_of(reports[-1])) == in_any_order([*whole(B, t=90), *status(*A, "failed"), *xids(*A)])
    assert [line.partition(" (")[0] for _, line in lines()] == ["otel-ml: GPU GPU-a is lost"]


@pytest.mark.parametrize("function", ["nvmlDeviceGetSamples", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetClockInfo"])
def test_a_stale_handle_is_a_lost_gpu_only_where_it_worked_before(driver, gpus, function):
    """Invalid argument at the first call is a call that this GPU does not have."""
    driver.load(f"45 - 0 return {function} 2", f"0 - 1 return {function} 2")
    reports = run(driver, gpus(), 30, 60)
    assert [states(report) for report in reports] == [
        {"GPU-a": "ok", "GPU-b": "ok"},
        {"GPU-a": "failed", "GPU-b": "ok"},
    ]


def test_a_lost_gpu_is_read_again_when_it_is_back(driver, gpus, lines):
    """It is looked for after five, ten, twenty seconds, up to a minute; one line reports its return."""
    driver.load("45 95 0 return * 15")
    source = gpus()
    reports = run(driver, source, 30, 50, 56, 70, 100, 130, 140, 150)
    assert [states(report)["GPU-a"] for report in reports] == ["ok"] + ["failed"] * 3 + ["ok"] * 4
    assert in_any_order(rows_of(reports[4], "hw.energy")) == in_any_order(
        [row for gpu in (A, B) for row in figures(*gpu, t=100) if row[0] == "hw.energy"]
    )
    assert [line for _, line in lines()] == [
        "otel-ml: GPU GPU-a is lost (GPU is lost): its readings are absent until it is back",
        "otel-ml: GPU GPU-a is back",
    ]


def test_a_gpu_that_goes_and_comes_many_times_is_logged_each_time(driver, gpus, lines):
    """There is one line for each change, not for each tick."""
    driver.load(*[f"{start} {start + 40} 0 return * 15" for start in (45, 145, 245)])
    run(driver, gpus(), *range(30, 400, 10))
    assert [line.partition(" (")[0] for _, line in lines()] == [
        "otel-ml: GPU GPU-a is lost",
        "otel-ml: GPU GPU-a is back",
    ] * 3


def test_unknown_errors_in_a_row_mean_that_the_gpu_is_gone(driver, gpus, lines):
    """A container whose device access was stripped sees nothing else; the log says what to do."""
    driver.load("45 - 0 return * 999")
    reports = run(driver, gpus(), 30, 60)
    assert states(reports[-1]) == {"GPU-a": "failed", "GPU-b": "ok"}
    assert lines()[-1][1].endswith("; if this container lost its access to the device, recreate it")


def test_one_unknown_error_costs_one_figure(driver, gpus):
    """It is counted, and the GPU stays."""
    driver.load("45 - 0 return nvmlDeviceGetMemoryInfo_v2 999")
    reports = run(driver, gpus(), 30, 60)
    assert states(reports[-1]) == {"GPU-a": "ok", "GPU-b": "ok"}
    assert Gap("GPU 0 memory", "failed", "Unknown Error") in reports[-1].gaps
    assert [row[2]["hw.id"] for row in rows_of(reports[-1], "hw.gpu.memory.usage")] == ["GPU-b"]


def test_a_gpu_that_is_plugged_in_is_found(driver, gpus):
    """The number of GPUs is read at each slow tick."""
    driver.load("0 55 * value gpus 1")
    reports = run(driver, gpus(), 30, 40, 60, 70)
    assert [sorted(states(report)) for report in reports] == [
        ["GPU-a"],
        ["GPU-a"],
        ["GPU-a", "GPU-b"],
        ["GPU-a", "GPU-b"],
    ]


def test_a_gpu_that_is_unplugged_is_failed(driver, gpus, lines):
    """A GPU that was seen once has a state when it is absent."""
    driver.load("55 - * value gpus 1", "55 - 1 return * 28")
    reports = run(driver, gpus(), 30, 60, 90)
    assert [states(report) for report in reports[1:]] == [{"GPU-a": "ok", "GPU-b": "failed"}] * 2
    assert len(lines()) == 1


def test_a_gpu_that_the_library_cannot_see_yet_has_it_initialised_again(driver, gpus, tmp_path):
    """The library counts what there was at its start; the kernel module lists what there is."""
    listed = tmp_path / "proc" / "driver" / "nvidia" / "gpus"
    (listed / "0000:01:00.0").mkdir(parents=True)
    driver.load("0 55 * value gpus 1")
    source = gpus()
    run(driver, source, 30)
    (listed / "0000:02:00.0").mkdir()
    reports = run(driver, source, 60, 70)
    assert driver.calls("nvmlInitWithFlags") == 2
    assert states(reports[-1]) == {"GPU-a": "ok", "GPU-b": "ok"}


def test_indices_that_change_do_not_change_who_is_who(driver, gpus):
    """GPUs are known by UUID; their order may differ after the driver comes back."""
    driver.load(
        "45 75 * return nvmlInitWithFlags 9",
        "45 75 * return nvmlDeviceGetFieldValues 9",
        "75 - 0 text uuid GPU-b",
        "75 - 1 text uuid GPU-a",
        "75 - 0 value field:185 111000 type 1",
    )
    reports = run(driver, gpus(), 30, 50, 120)
    assert {row[2]["hw.id"]: row[1] for row in rows_of(reports[-1], "hw.power")} == {"GPU-a": 310.5, "GPU-b": 111.0}


def test_pauses_vary_so_that_workers_do_not_ask_in_step(driver, gpus):
    """Pauses vary by a tenth either way."""
    driver.load("0 - * return nvmlInitWithFlags 9")
    early, late = gpus(jitter=lambda: 0.0), gpus(jitter=lambda: 1.0)
    for source, expected in ((early, 2), (late, 1)):
        driver.forget()
        run(driver, source, 0, 5)
        assert driver.calls("nvmlInitWithFlags") == expected
