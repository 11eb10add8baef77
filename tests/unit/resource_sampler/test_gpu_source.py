from __future__ import annotations

import importlib
import logging
import subprocess
import sys

import pytest

from otel_ml.resource_sampler import Gap, GpuSource

CALLS = (
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetTemperatureV",
)


def source(nvml, now=None):
    return GpuSource(nvml=nvml, retry=60.0, clock=lambda: 0.0 if now is None else now[0])


def figures(uuid, name, degrees=54.0):
    base = {"hw.id": uuid, "hw.name": name, "hw.vendor": "NVIDIA", "hw.model": "NVIDIA H100 80GB HBM3"}
    sensor = {"hw.id": f"{uuid}/temperature", "hw.parent": uuid, "hw.sensor_location": "gpu"}
    return [
        ("hw.gpu.utilization", 0.37, {**base, "hw.gpu.task": "general"}),
        ("hw.gpu.memory.usage", 21474836480, base),
        ("hw.gpu.memory.limit", 85899345920, base),
        ("hw.gpu.memory.utilization", 0.25, base),
        ("hw.power", 310.5, {**base, "hw.type": "gpu"}),
        ("otelml.gpu.power.limit", 700.0, base),
        ("hw.energy", 7.5, {**base, "hw.type": "gpu"}),
        ("hw.temperature", degrees, sensor),
    ]


def status(uuid, name, state):
    base = {"hw.id": uuid, "hw.name": name, "hw.vendor": "NVIDIA", "hw.model": "NVIDIA H100 80GB HBM3"}
    return [
        ("hw.status", int(state == known), {**base, "hw.type": "gpu", "hw.state": known}) for known in ("ok", "failed")
    ]


A, B = ("GPU-a", "GPU 0"), ("GPU-b", "GPU 1")


def test_all_figures_of_all_gpus(nvml, flat):
    """Base units, keyed by UUID; memory utilization is memory used, not the controller's busy share."""
    report = source(nvml).read()
    assert flat(report) == [*figures(*A), *figures(*B), *status(*A, "ok"), *status(*B, "ok")]
    assert report.gaps == ()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [3, 4, 6, 10, 13, 17, 21, 23, 26, 27, 999])
def test_a_failed_call_is_one_missing_figure_and_never_a_number(nvml, flat, call, code):
    """Every code that leaves the GPU in place costs this figure of this GPU alone."""
    nvml.fail[call, "GPU-a"] = code
    rows = flat(source(nvml).read())
    is_replaced = call == "nvmlDeviceGetTemperatureV" and code in {3, 13, 26}
    whole = [*figures(*A, 53.0 if is_replaced else 54.0), *figures(*B), *status(*A, "ok"), *status(*B, "ok")]
    missing = [row for row in whole if row not in rows]
    assert rows == [row for row in whole if row in rows]
    assert len(missing) == (0 if is_replaced else 3 if call == "nvmlDeviceGetMemoryInfo" else 1)
    assert all("GPU-a" in row[2]["hw.id"] for row in missing)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [2, 11, 15, 16, 28])
def test_a_lost_gpu_is_failed_and_the_other_goes_on(nvml, flat, caplog, call, code):
    """After a loss nothing is asked of it, its status says so, and the log has one line."""
    caplog.set_level(logging.INFO, "otel_ml")
    gpu = source(nvml)
    gpu.read()
    nvml.fail[call, "GPU-a"] = code
    gpu.read()
    nvml.calls.clear()
    rows = flat(gpu.read())
    assert rows == [*figures(*B), *status(*A, "failed"), *status(*B, "ok")]
    assert nvml.calls == list(CALLS)
    assert [record.getMessage() for record in caplog.records] == [
        f"otel-ml: GPU GPU-a is lost (NVML error {code}): its readings are absent until it is back"
    ]


def test_a_lost_gpu_is_taken_up_when_it_is_back(nvml, flat, caplog):
    """It is looked for after the retry time, not before, and its return is said once."""
    caplog.set_level(logging.INFO, "otel_ml")
    now = [0.0]
    gpu = source(nvml, now)
    nvml.fail["nvmlDeviceGetPowerUsage", "GPU-a"] = 15
    gpu.read()
    del nvml.fail["nvmlDeviceGetPowerUsage", "GPU-a"]
    now[0] = 59.0
    before = flat(gpu.read())
    now[0] = 60.0
    after = flat(gpu.read())
    assert before == [*figures(*B), *status(*A, "failed"), *status(*B, "ok")]
    assert after == [*figures(*A), *figures(*B), *status(*A, "ok"), *status(*B, "ok")]
    assert [record.getMessage() for record in caplog.records][-1] == "otel-ml: GPU GPU-a is back"


def test_three_unknown_errors_in_a_row_mean_that_the_gpu_is_gone(nvml, flat, caplog):
    """A container whose device access was stripped sees nothing else; the log says what to do."""
    gpu = source(nvml)
    for call in CALLS:
        nvml.fail[call, "GPU-a"] = 999
    rows = flat(gpu.read())
    assert rows == [*figures(*B), *status(*A, "failed"), *status(*B, "ok")]
    assert caplog.messages[-1].endswith("; if this container lost its access to the device, recreate it")


@pytest.mark.parametrize("code", [1, 9, 12, 18])
def test_a_driver_that_goes_takes_all_gpus_and_comes_back(nvml, flat, code):
    """The library is shut down once and initialised again after the retry time."""
    now = [0.0]
    gpu = source(nvml, now)
    gpu.read()
    nvml.fail["nvmlDeviceGetUtilizationRates"] = code
    lost = gpu.read()
    del nvml.fail["nvmlDeviceGetUtilizationRates"]
    now[0] = 60.0
    back = flat(gpu.read())
    assert flat(lost) == [*status(*A, "failed"), *status(*B, "failed")]
    assert Gap("nvml", "driver", f"NVML error {code}") in lost.gaps
    assert back == [*figures(*A), *figures(*B), *status(*A, "ok"), *status(*B, "ok")]
    assert (nvml.calls.count("nvmlInit"), nvml.calls.count("nvmlShutdown")) == (2, 1)


def test_no_driver_is_no_point_one_line_and_one_try_a_minute(nvml, caplog):
    """A machine without a GPU is no fault."""
    caplog.set_level(logging.INFO, "otel_ml")
    nvml.fail["nvmlInit"] = 12
    now = [0.0]
    gpu = source(nvml, now)
    reports = []
    for now[0] in (0.0, 10.0, 20.0, 60.0, 70.0):
        reports.append(gpu.read())
    assert {(report.readings, report.gaps) for report in reports} == {((), (Gap("nvml", "driver", "NVML error 12"),))}
    assert nvml.calls == ["nvmlInit", "nvmlInit"]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "otel-ml: no NVIDIA GPU can be read (NVML error 12): GPU readings are absent")
    ]


def test_a_driver_that_arrives_later_is_found(nvml, flat):
    """The sampler may be up before the driver."""
    nvml.fail["nvmlInit"] = 9
    now = [0.0]
    gpu = source(nvml, now)
    gpu.read()
    del nvml.fail["nvmlInit"]
    now[0] = 61.0
    assert len(flat(gpu.read())) == 20


def test_no_visible_gpu_is_not_healthy_and_idle(nvml):
    """A broken device mount looks like this."""
    nvml.gpus.clear()
    report = source(nvml).read()
    assert (report.readings, report.gaps) == ((), (Gap("nvml", "driver", "the driver shows no GPU"),))


def test_a_call_that_is_not_supported_is_asked_once(nvml):
    """Absent for good: named as a gap, not asked again."""
    nvml.fail["nvmlDeviceGetTotalEnergyConsumption"] = 3
    gpu = source(nvml)
    first, second = gpu.read(), gpu.read()
    assert [gap.kind for gap in first.gaps] == [gap.kind for gap in second.gaps] == ["unsupported", "unsupported"]
    assert nvml.calls.count("nvmlDeviceGetTotalEnergyConsumption") == 2


def test_a_binding_without_a_newer_function_is_no_fault(nvml, flat):
    """An older nvidia-ml-py has no nvmlDeviceGetTemperatureV."""

    class Old(type(nvml)):
        def __getattr__(self, name):
            if name == "nvmlDeviceGetTemperatureV":
                raise AttributeError(name)
            return super().__getattr__(name)

    rows = flat(source(Old()).read())
    assert [row[1] for row in rows if row[0] == "hw.temperature"] == [53.0, 53.0]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("nvmlDeviceGetPowerUsage", 2**32 - 1),
        ("nvmlDeviceGetEnforcedPowerLimit", 2**32 - 1),
        ("nvmlDeviceGetTemperatureV", 2**32 - 1),
        ("nvmlDeviceGetUtilizationRates", type("Rates", (), {"gpu": 2**32 - 1})),
        ("nvmlDeviceGetMemoryInfo", type("Memory", (), {"total": 2**64 - 1, "free": 2**64 - 1})),
        ("nvmlDeviceGetMemoryInfo", type("Memory", (), {"total": 0, "free": 0})),
        ("nvmlDeviceGetMemoryInfo", type("Memory", (), {"total": 10, "free": 11})),
    ],
)
def test_the_drivers_word_for_no_value_is_no_point(nvml, flat, call, value):
    """All ones, or figures that contradict each other, are unknown and not a measurement."""
    nvml.values[call] = value
    rows = flat(source(nvml).read())
    whole = [*figures(*A), *figures(*B), *status(*A, "ok"), *status(*B, "ok")]
    assert all(row in whole for row in rows)
    assert len(rows) < len(whole)


def test_the_library_is_shut_down_once_by_close(nvml):
    """No call follows the shutdown."""
    gpu = source(nvml)
    gpu.read()
    gpu.close()
    gpu.close()
    assert nvml.calls.count("nvmlShutdown") == 1
    assert nvml.calls[-1] == "nvmlShutdown"


def test_a_forked_child_initialises_the_library_anew(nvml, flat):
    """NVML's state is not inherited: the child neither uses nor shuts down its parent's."""
    gpu = source(nvml)
    gpu.read()
    gpu._pid = -1  # as after a fork
    rows = flat(gpu.read())
    assert len(rows) == 20
    assert (nvml.calls.count("nvmlInit"), nvml.calls.count("nvmlShutdown")) == (2, 0)
    gpu._pid = -1
    gpu.close()
    assert nvml.calls.count("nvmlShutdown") == 0


def test_a_gpu_that_cannot_be_opened_is_a_gap_beside_the_others(nvml, flat):
    """A device that the container may not use."""
    nvml.fail["nvmlDeviceGetHandleByIndex", 0] = 4
    report = source(nvml).read()
    assert flat(report) == [*figures(*B), *status(*B, "ok")]
    assert report.gaps == (Gap("gpu 0", "permission", "NVML error 4"),)


def test_gpus_beyond_the_cap_are_left_out_and_said(nvml):
    """Cardinality is bounded whatever the driver says."""
    nvml.gpus = [f"GPU-{number}" for number in range(70)]
    report = source(nvml).read()
    assert len({reading.attributes["hw.id"] for reading in report.readings}) == 64 * 2
    assert report.gaps == (Gap("gpu", "capped", "6 of 70 GPUs left out"),)


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


def test_a_shutdown_that_fails_is_no_fault(nvml):
    """The driver may be gone already."""
    gpu = source(nvml)
    gpu.read()
    nvml.fail["nvmlShutdown"] = 1
    gpu.close()
    assert nvml.calls[-1] == "nvmlShutdown"


def test_the_driver_is_not_touched_before_the_first_reading(nvml):
    """NVML touched before a fork breaks the workers."""
    source(nvml)
    assert nvml.calls == []


def test_the_real_binding_without_a_driver_is_one_gap():
    """nvidia-ml-py as installed, on a machine without a GPU."""
    pynvml = importlib.import_module("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        report = GpuSource().read()
        assert (report.readings, [gap.kind for gap in report.gaps]) == ((), ["driver"])
    else:
        pynvml.nvmlShutdown()
        pytest.skip("this machine has a driver")


@pytest.mark.gpu
def test_a_real_gpu_has_all_figures():
    """Utilization, memory, power, temperature and a good status of every visible GPU."""
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
