from __future__ import annotations

import importlib
import os
import subprocess
import sys
import types

import pytest
from nvml_fixtures import A, B, figures, in_any_order, rows_of, status, xids

from otel_ml import _guard
from otel_ml.config import ConfigError
from otel_ml.resource_sampler import Gap, GpuSource

FAST = ("nvmlDeviceGetSamples", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetFieldValues")


def no_share(name):
    """The gaps of a GPU on which nothing is ours."""
    return [
        Gap(f"{name} page retirement pending", "unsupported", "field 31 answers 3"),
        Gap(f"{name} share of the process", "absent", "no attribution method applies"),
        Gap(f"{name} process utilization", "absent", "Not Found"),
    ]


def at(driver, source, *seconds):
    """The last of several readings."""
    for second in seconds:
        driver.at(second)
        report = source.read()
    return report


def test_all_figures_of_all_gpus(driver, gpus):
    """Base units, keyed by UUID; memory utilization is memory used, not the controller's busy share."""
    report = at(driver, gpus(gpm=True), 30, 60)
    whole = [*figures(*A, t=60, gpm=True), *figures(*B, t=60, gpm=True), *status(*A, "ok"), *status(*B, "ok")]
    assert in_any_order(rows_of(report)) == in_any_order([*whole, *xids(*A), *xids(*B)])
    assert list(report.gaps) == [*no_share("GPU 0"), *no_share("GPU 1")]


def test_a_source_gives_only_metrics_that_it_names(driver, gpus):
    """All readings belong to the metrics from which the sampler creates its instruments."""
    source = gpus(gpm=True)
    assert {reading.metric for reading in at(driver, source, 30, 60).readings} <= set(source.metrics)


def test_a_fast_tick_is_three_calls_a_gpu(driver, gpus):
    """Utilization, memory and one batch of fields; figures of the last slow tick are repeated."""
    source = gpus()
    at(driver, source, 30)
    driver.forget()
    report = at(driver, source, 40)
    assert driver.table() == dict.fromkeys(FAST, 2)
    whole = [*figures(*A, t=40), *figures(*B, t=40), *status(*A, "ok"), *status(*B, "ok"), *xids(*A), *xids(*B)]
    assert in_any_order(rows_of(report)) == in_any_order(whole)


def test_slow_figures_are_renewed_after_their_time(driver, gpus):
    """Temperature, clocks and processes are read every thirty seconds, not every ten."""
    driver.load("35 - * value temperature 70")
    source = gpus()
    seen = [
        [
            row[1]
            for row in rows_of(at(driver, source, second), "hw.temperature")
            if row[2]["hw.id"] == "GPU-a/temperature"
        ]
        for second in (30, 40, 50, 60)
    ]
    assert seen == [[54.0], [54.0], [54.0], [70.0]]


def test_a_slow_figure_that_fails_is_not_given_again(driver, gpus):
    """No old value replaces a failed reading."""
    driver.load("50 - * return nvmlDeviceGetClockInfo 21")
    source = gpus()
    assert len(rows_of(at(driver, source, 30, 40), "otelml.gpu.clock.frequency")) == 8
    assert rows_of(at(driver, source, 60), "otelml.gpu.clock.frequency") == []


def test_utilization_is_the_mean_of_the_drivers_samples(driver, gpus):
    """What happened between two ticks is not missed, and no sample counts twice."""
    driver.load("45 - * value samples 77")
    source = gpus()
    shares = [rows_of(at(driver, source, second), "hw.gpu.utilization")[0][1] for second in (30, 40, 50)]
    assert shares == [0.37, 0.37, 0.77]


@pytest.mark.parametrize("code", [3, 6, 13, 21])
def test_without_samples_the_drivers_own_window_is_taken(driver, gpus, code):
    """The driver's own utilization is read, also by one call a tick."""
    driver.load(f"0 - * return nvmlDeviceGetSamples {code}")
    source = gpus()
    first = rows_of(at(driver, source, 30), "hw.gpu.utilization")[0]
    at(driver, source, 40)
    driver.forget()
    report = at(driver, source, 50)
    assert first[1] == 0.41
    assert rows_of(report, "hw.gpu.utilization")[0][1] == 0.41
    assert driver.table() == {
        "nvmlDeviceGetUtilizationRates": 2,
        "nvmlDeviceGetMemoryInfo_v2": 2,
        "nvmlDeviceGetFieldValues": 2,
    }


def test_fields_that_a_gpu_lacks_are_asked_once(driver, gpus):
    """The batch is probed at the start; what it lacks has other sources or is absent, and is named as a gap."""
    driver.load(base=["0 - * text name Old", "0 - * value power 55000", "0 - * value power_limit 70000"], gpus=1)
    source = gpus(attribution="off")
    report = at(driver, source, 30)
    driver.forget()
    at(driver, source, 40)
    base = {"hw.id": "GPU-a", "hw.name": "GPU 0", "hw.vendor": "NVIDIA", "hw.model": "Old"}
    assert rows_of(report)[:2] == [
        ("hw.power", 55.0, {**base, "hw.type": "gpu"}),
        ("otelml.gpu.power.limit", 70.0, base),
    ]
    assert Gap("GPU 0 energy", "unsupported", "field 83 answers 3") in report.gaps
    assert {gap.kind for gap in report.gaps} == {"unsupported"}
    assert driver.table() == {}


def test_the_average_power_is_preferred_and_the_other_field_no_longer_asked(driver, gpus):
    """Of two fields for one figure the first that answers is read; here the instant power of an older driver."""
    driver.load("0 - 0 return field:185 3")
    assert [row[1] for row in rows_of(at(driver, gpus(), 30), "hw.power")] == [320.0, 310.5]


def test_throttling_now_is_read_where_there_is_no_throttled_time(driver, gpus):
    """The bits that are throttling; an idle GPU and chosen clocks are not."""
    driver.load(
        *[f"0 - * return field:{field} 3" for field in (74, 75, 76, 269, 270, 271)], "0 - * value reasons 71", gpus=1
    )
    report = at(driver, gpus(), 30)
    active = {
        row[2]["otelml.gpu.clock.throttle.reason"]: row[1]
        for row in rows_of(report, "otelml.gpu.clock.throttle.active")
    }
    assert active == {
        "sw_power_cap": 1,
        "hw_slowdown": 0,
        "sync_boost": 0,
        "sw_thermal": 0,
        "hw_thermal": 1,
        "hw_power_brake": 0,
    }
    assert rows_of(report, "otelml.gpu.clock.throttle.time") == []


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("value field:230 1", "degraded"),
        ("value reasons 8", "degraded"),
        ("value field:144 1", "predicted_failure"),
        ("value field:145 1", "predicted_failure"),
        ("value field:31 1", "predicted_failure"),
        ("return nvmlDeviceGetFieldValues 16", "failed"),
    ],
)
def test_the_state_of_a_gpu(driver, gpus, rule, state):
    """Wanted recovery and hardware slowdown degrade it, memory about to fail predicts its failure."""
    driver.load("0 - * value field:31 0", f"35 - 0 {rule}")
    source = gpus()
    report = at(driver, source, 30, 60)
    assert rows_of(report, "hw.status") == [*status(*A, state), *status(*B, "ok")]


def test_a_binding_without_a_newer_function_is_no_fault(driver, gpus, nvml):
    """An older nvidia-ml-py lacks nvmlDeviceGetTemperatureV, memory v2, GPM or its library's handle."""
    old = types.ModuleType("pynvml")
    for name, value in vars(nvml).items():
        setattr(old, name, value)
    for name in ("nvmlDeviceGetTemperatureV", "nvmlMemory_v2", "nvmlLib", "nvmlGpmQueryDeviceSupport"):
        if hasattr(old, name):
            delattr(old, name)
    report = at(driver, gpus(nvml=old, gpm=True), 30)
    temperatures = [row[1] for row in rows_of(report, "hw.temperature") if row[2]["hw.sensor_location"] == "gpu"]
    assert temperatures == [54.0, 54.0]
    assert [row[1] for row in rows_of(report, "hw.gpu.memory.usage")] == [21474836480, 21474836480]
    assert driver.calls("nvmlDeviceGetTemperature") == 2


@pytest.mark.parametrize("error", [IndexError("x"), OverflowError("x"), MemoryError(), ValueError("x")])
def test_a_binding_that_fails_over_a_garbage_answer_costs_one_figure(driver, gpus, nvml, error):
    """The binding allocates as the driver claims; every error that is not its own is garbage of the driver."""
    odd = types.ModuleType("pynvml")
    vars(odd).update(vars(nvml))

    def fail(*_):
        raise error

    odd.nvmlDeviceGetClockInfo = fail
    whole = rows_of(at(driver, gpus(), 30))
    report = at(driver, gpus(nvml=odd), 30)
    assert rows_of(report) == [row for row in whole if row[0] != "otelml.gpu.clock.frequency"]
    assert {gap.kind for gap in report.gaps if "clock" in gap.what and "GPU 0" in gap.what} == {"malformed"}
    assert _guard.counts() == {}


@pytest.mark.parametrize(
    ("function", "what", "lost"),
    [
        ("nvmlDeviceGetComputeRunningProcesses_v3", "GPU 0 processes", "otelml.gpu.process.count"),
        ("nvmlDeviceGetProcessUtilization", "GPU 0 process utilization", ""),
        ("nvmlDeviceGetSamples", "GPU 0 utilization samples", ""),
    ],
)
@pytest.mark.parametrize("count", [5000, 2**31, 2**32 - 1])
def test_a_number_of_entries_that_cannot_be_is_no_list(driver, gpus, function, what, lost, count):
    """No memory is allocated for it, and memory behind the list is not read as processes."""
    driver.load("0 - 0 process 500 1", "0 - 0 busy 500 30", f"0 - 0 value count:{function} {count}")
    report = at(driver, gpus(), 30)
    kinds = [(gap.kind, gap.detail.partition(" ")[0]) for gap in report.gaps if gap.what == what]
    assert kinds == [("malformed", str(count))]
    assert [row for row in rows_of(report, lost) if row[2]["hw.id"] == "GPU-a"] == [] or not lost


def test_the_busy_share_is_reported_once_a_tick_and_belongs_to_the_tick(driver, gpus):
    """While samples fail, fast ticks do not repeat the share of the last slow tick."""
    driver.load("45 105 0 return nvmlDeviceGetSamples 7", "65 - 0 value utilization 90", gpus=1)
    source = gpus()
    shares = [
        [row[1] for row in rows_of(at(driver, source, second), "hw.gpu.utilization") if "general" in row[2].values()]
        for second in (30, 40, 50, 60, 70, 80, 110, 120)
    ]
    assert shares == [[0.37], [0.37], [], [0.41], [0.9], [0.9], [0.37], [0.37]]


def test_a_gpu_without_a_uuid_is_a_gap_and_the_other_one_is_read(driver, gpus):
    """Without a UUID it cannot be distinguished from another GPU."""
    driver.load("0 - 0 text uuid ")
    report = at(driver, gpus(), 30)
    assert {row[2]["hw.id"] for row in rows_of(report, "hw.energy")} == {"GPU-b"}
    assert Gap("gpu 0", "malformed", "its UUID is empty") in report.gaps


def test_a_counter_beyond_all_points_is_no_figure_and_is_forgotten(driver, gpus):
    """One garbage answer is skipped, and the series continues."""
    driver.load("45 55 0 value field:197 9223372036854775808", gpus=1)
    source = gpus()
    seen = [
        [
            row[1]
            for row in rows_of(at(driver, source, second), "hw.gpu.io")
            if row[2]["network.io.direction"] == "transmit"
        ]
        for second in (40, 50, 60)
    ]
    assert seen == [[1_000_000 + 5_000_000 * 40], [], [1_000_000 + 5_000_000 * 60]]


def test_more_processes_than_there_is_room_for_are_no_sum(driver, gpus):
    """A part of them gives no share; that is a limit, not an error."""
    driver.load(*[f"0 - 0 process {pid} 1" for pid in range(1, 3001)], gpus=1)
    report = at(driver, gpus(), 30)
    assert rows_of(report, "otelml.gpu.process.count") == []
    assert [gap for gap in report.gaps if gap.what == "GPU 0 processes"] == [
        Gap("GPU 0 processes", "capped", "3000 entries, more than 2730")
    ]


def test_a_package_that_shadows_the_binding_is_named(driver, gpus):
    """The old third-party package of the same module name is refused by name."""
    report = gpus(nvml=types.ModuleType("pynvml")).read()
    assert report.gaps == (Gap("nvml", "driver", "the module pynvml is not nvidia-ml-py: pip install nvidia-ml-py"),)


@pytest.mark.parametrize(
    ("rule", "metric", "left"),
    [
        ("value field:83 0", "hw.energy", 0),
        ("value field:83 18446744073709551615", "hw.energy", 0),
        ("value field:185 0 type 1", "hw.power", 1),
        ("value field:185 4294967295 type 1", "hw.power", 1),
        ("value field:185 4294967295", "hw.power", 1),
        ("value field:190 0 type 1", "otelml.gpu.power.limit", 0),
        ("value field:190 4294967295", "otelml.gpu.power.limit", 0),
        ("value field:82 4294967295", "hw.temperature", 1),
        ("value field:142 4294967295", "otelml.gpu.memory.remapped_rows", 1),
        ("value field:82 0 type 1", "hw.temperature", 1),
        ("value temperature 0", "hw.temperature", 1),
        ("value temperature 4294967295", "hw.temperature", 1),
        ("value field:197 0", "hw.gpu.io", 1),
        ("value utilization 4294967295", "otelml.gpu.memory.activity", 1),
        ("value memory_activity 101", "otelml.gpu.memory.activity", 0),
        ("value encoder 255", "hw.gpu.utilization", 2),
        ("value clock:0 0", "otelml.gpu.clock.frequency", 3),
        ("value memory.total -1", "hw.gpu.memory.usage", 0),
        ("value memory.total 0", "hw.gpu.memory.usage", 0),
        ("value memory.free 99999999999999", "hw.gpu.memory.usage", 0),
        ("value threshold:0 0", "hw.temperature.limit", 1),
        ("value fan 4000", "hw.fan.speed_ratio", 0),
        ("value field:3 5 type 99", "hw.errors", 10),
    ],
)
def test_the_drivers_code_for_no_value_is_no_point(driver, gpus, rule, metric, left):
    """All ones, 0 where it is impossible, and contradicting figures are unknown."""
    driver.load(f"0 - * {rule}", gpus=1)
    assert len(rows_of(at(driver, gpus(), 30), metric)) == left


@pytest.mark.parametrize("field", [185, 186])
def test_a_power_of_all_ones_is_not_reported_in_whatever_width(driver, gpus, field):
    """4,294,967,295 mW in 64 bits is no power either; the other field is read."""
    other = "return field:185 3" if field == 186 else "value field:186 111000 type 1"
    driver.load(f"0 - * {other}", f"0 - * value field:{field} 4294967295", gpus=1)
    assert [row[1] for row in rows_of(at(driver, gpus(), 30), "hw.power") if row[1] > 1000] == []


def test_a_flag_of_all_ones_is_no_failure(driver, gpus):
    """An unknown flag is no predicted failure."""
    driver.load(*[f"0 - * value field:{field} 4294967295" for field in (31, 144, 145, 230)], gpus=1)
    found = {row[2]["hw.state"]: row[1] for row in rows_of(at(driver, gpus(), 30), "hw.status")}
    assert found == {"ok": 1, "degraded": 0, "failed": 0, "predicted_failure": 0}


def test_an_idle_gpu_with_busy_processes_has_no_utilization(driver, gpus):
    """Some drivers return 0 with success for a utilization that they cannot measure."""
    driver.load("0 - * value samples 0", "0 - * value utilization 0", "0 - 0 busy 77 50", "65 - 0 value samples 9")
    source = gpus()
    seen = []
    for second in (30, 40, 60, 70):
        report = at(driver, source, second)
        rows = [row for row in rows_of(report, "hw.gpu.utilization") if row[2]["hw.gpu.task"] == "general"]
        seen.append([(row[2]["hw.id"], row[1]) for row in rows])
    assert seen == [
        [("GPU-a", 0.0), ("GPU-b", 0.0)],
        [("GPU-b", 0.0)],
        [("GPU-b", 0.0)],
        [("GPU-a", pytest.approx(0.09, abs=0.06)), ("GPU-b", 0.0)],
    ]


def test_gpus_beyond_the_limit_are_left_out_and_named(driver, gpus):
    """Cardinality is bounded whatever the driver reports."""
    driver.load(*[f"0 - {index} text uuid GPU-{index}" for index in range(70)], "0 - * value gpus 70", gpus=1)
    report = at(driver, gpus(attribution="off"), 30)
    assert len({row[2]["hw.id"] for row in rows_of(report, "hw.status")}) == 64
    assert Gap("gpu", "capped", "6 of 70 GPUs left out") in report.gaps


def test_a_gpu_that_cannot_be_opened_is_a_gap_beside_the_others(driver, gpus):
    """A device that the container may not use is a gap; the others are read."""
    driver.load("0 - 0 return nvmlDeviceGetHandleByIndex_v2 4")
    report = at(driver, gpus(attribution="off"), 30)
    assert {row[2].get("hw.id", "")[:5] for row in rows_of(report)} == {"GPU-b"}
    assert report.gaps[0] == Gap("gpu 0", "permission", "Insufficient Permissions")


def test_what_is_refused_is_asked_again_at_the_next_slow_tick(driver, gpus):
    """Permissions may change; meanwhile it is a gap."""
    driver.load("0 45 0 return nvmlDeviceGetMemoryInfo_v2 4", "0 45 0 return field:83 17")
    source = gpus(attribution="off")
    first = at(driver, source, 30)
    driver.forget()
    second = at(driver, source, 40)
    calls = driver.table()
    third = at(driver, source, 60)
    refused = [Gap("GPU 0 memory", "permission", "Insufficient Permissions")]
    refused.append(Gap("GPU 0 energy", "permission", "field 83 answers 17"))
    for report in (first, second):
        assert [gap for gap in report.gaps if gap.kind == "permission"] == refused
    assert calls["nvmlDeviceGetMemoryInfo_v2"] == 1
    assert [len(rows_of(report, "hw.energy")) for report in (first, second, third)] == [1, 1, 2]
    assert [len(rows_of(report, "hw.gpu.memory.usage")) for report in (first, second, third)] == [1, 1, 2]


def test_the_library_is_shut_down_once_by_close(driver, gpus):
    """No call follows the shutdown, and everything from the library is freed."""
    source = gpus(gpm=True)
    at(driver, source, 30, 40)
    source.close()
    source.close()
    assert (driver.calls("nvmlShutdown"), driver.held, driver.after_shutdown) == (1, (0, 0, 0), 0)


def test_a_source_can_be_read_again_after_close(driver, gpus):
    """Everything is looked up again."""
    source = gpus()
    first = rows_of(at(driver, source, 30))
    source.close()
    assert rows_of(at(driver, source, 30)) == first


def test_a_shutdown_that_fails_is_no_fault(driver, gpus):
    """The driver may be gone already."""
    driver.load("0 - * return nvmlShutdown 1")
    driver.may_hold = (1, 0, 0)
    source = gpus()
    at(driver, source, 30)
    source.close()


def test_the_driver_is_not_touched_before_the_first_reading(driver, gpus):
    """NVML is not called before a possible fork, which would break the workers."""
    gpus()
    assert driver.table() == {}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_initialises_the_library_again(driver, gpus):
    """Neither threads nor NVML's state are inherited: the child does not shut down its parent's."""
    source = gpus()
    at(driver, source, 30)
    pid = os.fork()
    if pid == 0:
        rows = rows_of(source.read())
        is_fine = driver.calls("nvmlInitWithFlags") == 2 and len(rows) > 90
        source.close()
        os._exit(0 if is_fine and driver.calls("nvmlShutdown") == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(rows_of(at(driver, source, 40))) > 90


@pytest.mark.parametrize("name", ["retry", "slow", "deadline", "poll"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_times_must_be_positive(name, seconds):
    """A wrong setting ends at once, with its name."""
    with pytest.raises(ConfigError, match=name):
        GpuSource(**{name: seconds})


def test_an_unknown_attribution_is_refused():
    """The message lists the choices."""
    with pytest.raises(ConfigError, match="process, containers or off"):
        GpuSource(attribution="mine")


def test_calls_are_timed_by_name(driver, gpus, provider, collect):
    """`otelml.sampler.nvml.call.duration` counts every call of the tick."""
    source = gpus()
    source.instrument(provider.meter)
    at(driver, source, 30)
    names = {
        attributes["otelml.sampler.nvml.call"]
        for attributes, _ in collect(provider.reader)["otelml.sampler.nvml.call.duration"]
    }
    assert names >= {
        "nvmlDeviceGetFieldValues/latencyUsec",
        "nvmlInit",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetSamples",
        "nvmlDeviceGetClockInfo",
    }


def test_a_missing_binding_names_the_extra():
    """Without nvidia-ml-py there is no point, and the gap says how to get it."""
    code = (
        "import sys; sys.modules['pynvml'] = None\n"
        "from otel_ml.resource_sampler import GpuSource\n"
        "print(GpuSource().read())"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'otel-ml[gpu]'" in finished.stdout
    assert "readings=()" in finished.stdout


def test_the_real_binding_without_a_driver_is_one_gap():
    """The installed nvidia-ml-py gives one gap on a machine without a GPU."""
    code = "from otel_ml.resource_sampler import GpuSource; print(GpuSource().read())"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "Gap(what='nvml', kind='driver', detail='NVML Shared Library Not Found')" in finished.stdout


@pytest.mark.gpu
def test_a_real_gpu_has_all_figures():
    """Utilization, memory, power, temperature and a good status of every visible GPU."""
    importlib.import_module("pynvml")
    report = GpuSource().read()
    if not report.readings:
        pytest.skip("no NVIDIA GPU")
    assert {reading.metric.name for reading in report.readings} >= {
        "hw.gpu.utilization",
        "hw.gpu.memory.usage",
        "hw.power",
        "hw.temperature",
        "hw.status",
    }
