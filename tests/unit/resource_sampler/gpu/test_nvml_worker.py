from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from fake_nvml import scenario
from nvml_fixtures import A, B, rows_of, xids

from otel_ml import _process
from otel_ml.resource_sampler import Gap, Reading, Report, ResourceSampler
from otel_ml.resource_sampler.gpu._driver_thread import DriverThread, Unanswered
from otel_ml.semconv import SYSTEM_CPU_LOGICAL_COUNT

HUNG = Gap("nvml", "failed", "a driver call does not return")
FOREVER = 10**9


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


class Host:
    """A source that always answers."""

    name, metrics = "host", (SYSTEM_CPU_LOGICAL_COUNT,)

    def __init__(self):
        self.reads = 0

    def read(self):
        self.reads += 1
        return Report((Reading(SYSTEM_CPU_LOGICAL_COUNT, self.reads, {}),))

    def close(self):
        pass


def test_work_is_done_on_one_thread_one_after_the_other():
    """All work runs on the same thread, never on the caller's."""
    worker = DriverThread()
    names = {worker.ask(lambda: threading.current_thread().name, 5.0) for _ in range(20)}
    assert names == {"otel-ml-nvml"}
    assert worker.end(lambda: None, 5.0)
    assert not worker.is_alive


def test_without_a_thread_there_is_no_answer_and_the_next_request_tries_again():
    """The system may refuse a thread at any time, and the interpreter does so at its end."""
    refusing = [True]
    worker = DriverThread(spawn=lambda *work: None if refusing.pop() else _process.spawn(*work))
    with pytest.raises(Unanswered):
        worker.ask(lambda: 1, 5.0)
    refusing.append(False)
    assert worker.ask(lambda: 1, 5.0) == 1
    assert worker.end(lambda: None, 5.0)


def test_a_late_result_is_discarded_and_nothing_is_queued():
    """A request while a call hangs fails at once; afterwards requests are answered as before."""
    worker, gate, done = DriverThread(), threading.Event(), []

    def slow():
        gate.wait(20.0)
        done.append("slow")
        return "late"

    with pytest.raises(Unanswered):
        worker.ask(slow, 0.01)
    for _ in range(3):
        with pytest.raises(Unanswered):
            worker.ask(lambda: done.append("queued"), 0.01)
    gate.set()
    wait_for(lambda: done)
    wait_for(lambda: _answers(worker))
    assert done == ["slow"]
    worker.end(lambda: None, 5.0)


def _answers(worker):
    try:
        return worker.ask(lambda: "fresh", 5.0) == "fresh"
    except Unanswered:
        return False


def test_work_that_raises_is_none_and_counted(caplog):
    """An error of ours ends neither the thread nor the sampler."""
    worker = DriverThread()
    assert worker.ask(lambda: 1 // 0, 5.0) is None
    assert worker.ask(lambda: 7, 5.0) == 7
    worker.end(lambda: None, 5.0)
    assert len(caplog.messages) == 1


def test_a_hanging_call_holds_neither_the_end_nor_what_is_done_then():
    """The end does not wait beyond its time, and its work is done once the call returns."""
    worker, gate, done = DriverThread(), threading.Event(), []
    with pytest.raises(Unanswered):
        worker.ask(lambda: gate.wait(20.0), 0.01)
    assert worker.end(lambda: done.append("closed"), 0.01) is False
    assert worker.end(lambda: done.append("twice"), 0.01) is False
    assert done == []
    gate.set()
    wait_for(lambda: not worker.is_alive)
    assert done == ["closed"]
    assert worker.end(lambda: done.append("again"), 0.01) is True
    assert worker.ask(lambda: "again", 5.0) == "again"
    worker.end(lambda: None, 5.0)


@pytest.mark.parametrize(
    "function",
    [
        "nvmlInitWithFlags",
        "nvmlDeviceGetCount_v2",
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetComputeRunningProcesses_v3",
    ],
)
def test_a_call_that_never_returns_stops_gpu_readings_and_is_logged_once(driver, gpus, caplog, function):
    """Counts are kept, the driver is not called again, and readings continue once the call has returned."""
    caplog.set_level(logging.INFO, "otel_ml")
    driver.load(f"0 500 * delay {function} {FOREVER}")
    source = gpus(deadline=0.05)
    driver.at(30)
    reports = [source.read() for _ in range(5)]
    assert {report.gaps for report in reports} == {(HUNG,)}
    assert {row[0] for report in reports for row in rows_of(report)} <= {"hw.errors"}
    calls = driver.table()
    assert [source.read().gaps for _ in range(5)] == [(HUNG,)] * 5
    assert driver.table() == calls
    driver.at(500)
    driver.release()
    wait_for(lambda: HUNG not in source.read().gaps)
    assert len(rows_of(source.read(), "hw.energy")) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "otel-ml: a call into the NVIDIA driver does not return: GPU readings are absent until it does",
        "otel-ml: the NVIDIA driver answers again: GPU readings start",
    ]


def test_cold_gpus_that_take_their_time_once_are_not_logged(driver, gpus, caplog):
    """Opening a GPU takes seconds without persistence mode; that is no hanging driver."""
    caplog.set_level(logging.INFO, "otel_ml")
    driver.load("0 - 0 delay nvmlDeviceGetHandleByIndex_v2 300")
    source = gpus(deadline=0.05)
    driver.at(30)
    first = source.read()
    wait_for(lambda: source._worker._current is None)
    assert (first.gaps, len(rows_of(source.read(), "hw.energy")), caplog.messages) == ((HUNG,), 2, [])


def test_counts_of_xids_are_given_while_the_driver_hangs(driver, gpus):
    """The thread that asks for events is another one, so that it can say why."""
    driver.load(f"40 500 * delay nvmlDeviceGetFieldValues {FOREVER}", "50 - 0 event 8 79")
    source = gpus(deadline=0.05, poll=0.01)
    driver.at(30)
    source.read()
    driver.at(45)
    wait_for(lambda: source.read().gaps == (HUNG,))
    driver.at(51)
    wait_for(lambda: rows_of(source.read(), "hw.errors") == [*xids(*A, xid_79=1), *xids(*B)])


def test_the_host_is_read_and_the_sampler_stops_while_the_driver_hangs(driver, gpus, provider, collect):
    """Host readings stay fresh, a stop does not wait, and the driver is given back once it answers."""
    driver.load(f"0 500 * delay nvmlDeviceGetMemoryInfo_v2 {FOREVER}")
    driver.at(30)
    host, source = Host(), gpus(deadline=0.05)
    sampler = ResourceSampler(0.05, sources=[host, source], meter=provider.meter, budget=64)
    sampler.start()
    wait_for(lambda: host.reads > 5)
    wait_for(lambda: collect(provider.reader)["system.cpu.logical.count"][0][1] > 5)
    assert "hw.energy" not in collect(provider.reader)
    sampler.stop(timeout=20.0)
    assert not sampler.is_running
    assert driver.calls("nvmlShutdown") == 0
    driver.release()
    wait_for(lambda: driver.held == (0, 0, 0))
    assert driver.calls("nvmlShutdown") == 1


PROGRAM = """
import threading, time
from otel_ml.resource_sampler import GpuSource
source = GpuSource(deadline={deadline}, poll=0.01)
print(len(source.read().readings) > 0, flush=True)
"""

PATIENT = PROGRAM.format(deadline=20.0)


def run_alone(library, tmp_path, *rules, program=PATIENT, **variables):
    """Runs a program in a process of its own on a scenario; its output and the library's counts at its end."""
    (tmp_path / "alone.scenario").write_text(scenario(*rules))
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(Path(library).parent),
        "FAKE_NVML_SCENARIO": str(tmp_path / "alone.scenario"),
        "FAKE_NVML_COUNTS": str(tmp_path / "counts"),
        **variables,
    }
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:.*fork.*:DeprecationWarning", "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    counts = dict(line.split() for line in (tmp_path / "counts").read_text().splitlines())
    return finished.stdout, finished.stderr, {name: int(count) for name, count in counts.items()}


def test_the_interpreter_ends_without_a_call_in_flight(nvml_library, tmp_path):
    """The threads of a source that was not closed are drained first, since the library is torn down under them."""
    output, errors, counts = run_alone(nvml_library, tmp_path, "0 - * delay nvmlDeviceGetClockInfo 20")
    assert (output, errors) == ("True\n", "")
    assert (counts["inside"], counts["overlaps"], counts["after_shutdown"]) == (0, 0, 0)


def test_the_interpreter_ends_although_a_call_never_returns(nvml_library, tmp_path):
    """The exit waits at most a second for the call."""
    program = PROGRAM.format(deadline=0.05)
    output, errors, counts = run_alone(
        nvml_library, tmp_path, f"0 - * delay nvmlInitWithFlags {FOREVER}", program=program
    )
    assert (output, errors, counts["inside"]) == ("False\n", "", 1)


def test_the_command_reads_gpus_through_the_real_binding(nvml_library, tmp_path):
    """`otel-ml sampler --json` in a process of its own shows what the library answers."""
    program = """
    import json, sys
    from otel_ml.cli import main
    sys.argv = ["otel-ml", "sampler", "--json", "--mode", "process"]
    sys.exit(main())
    """
    output, _, counts = run_alone(nvml_library, tmp_path, program=program)
    assert '"hw.gpu.memory.usage"' in output
    assert "nvmlDeviceGetPcieThroughput" not in counts
    assert (counts["overlaps"], counts["after_shutdown"]) == (0, 0)


def test_a_child_ends_although_its_parent_forked_in_a_call_that_never_returns(nvml_library, tmp_path):
    """The child's exit waits for neither thread nor lock of the parent."""
    program = """
    import os, sys
    from otel_ml.resource_sampler import GpuSource
    source = GpuSource(deadline=0.05)
    source.read()
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    """
    output, errors, _ = run_alone(nvml_library, tmp_path, f"0 - * delay nvmlInitWithFlags {FOREVER}", program=program)
    assert (output, errors) == ("7\n", "")


def test_the_cost_of_the_driver_thread_is_the_samplers(driver, gpus, provider, collect):
    """Its CPU time is in the sampler's own figure, and so in its budget."""
    driver.at(30)
    report = gpus().read()
    assert report.elsewhere > 0
    sampler = ResourceSampler(60, sources=[gpus()], meter=provider.meter, cpu_clock=lambda: 0.0)
    ((cost, _),) = sampler.tick()["otelml.sampler.cpu.time"]
    sampler.close()
    assert cost > 0
