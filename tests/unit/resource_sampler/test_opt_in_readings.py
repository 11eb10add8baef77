from __future__ import annotations

import shutil

import pytest

from otel_ml.resource_sampler import HostSource, ProcessSource
from otel_ml.resource_sampler._source import Report
from otel_ml.resource_sampler.export._local_meter import LocalMeter
from otel_ml.resource_sampler.gpu._late_driver import RETRY_SECONDS, LateGpuSource
from otel_ml.resource_sampler.linux._process import SLOW_SECONDS


def test_cpu_times_of_each_cpu_take_the_place_of_their_sum(data, flat):
    """Both together would be added up; CPUs are numbered from 0."""
    rows = flat(HostSource(proc=data / "proc_node", parts=("cpu",), per_cpu=True).read())
    times = [row for row in rows if row[0] == "system.cpu.time"]
    assert {attributes["cpu.logical_number"] for _, _, attributes in times} == {0, 1}
    whole = flat(HostSource(proc=data / "proc_node", parts=("cpu",)).read())
    for name, value, attributes in (row for row in whole if row[0] == "system.cpu.time"):
        parts = [each for _, each, of in times if of["cpu.mode"] == attributes["cpu.mode"]]
        assert sum(parts) == pytest.approx(value, abs=0.03), name
    assert [row for row in rows if row[0] == "system.cpu.logical.count"] == [("system.cpu.logical.count", 2, {})]


def test_proportional_memory_is_read_once_a_minute(data, tmp_path, flat):
    """The kernel walks all page tables for it, which delays the process."""
    proc = shutil.copytree(data / "proc_node", tmp_path / "proc")
    now = [0.0]
    source = ProcessSource(4242, proc=proc, pss=True, boot_clock=lambda: 1e6, clock=lambda: now[0])

    def pss():
        return [value for name, value, _ in flat(source.read()) if name == "otelml.process.memory.pss"]

    first = pss()
    (proc / "4242" / "smaps_rollup").write_text("rollup\nPss:    1 kB\n")
    now[0] = SLOW_SECONDS - 1
    second = pss()
    now[0] = SLOW_SECONDS
    assert (first, second, pss()) == ([71800 * 1024], [71800 * 1024], [1024])
    (proc / "4242" / "smaps_rollup").unlink()
    now[0] = 2 * SLOW_SECONDS
    assert pss() == []


def test_a_driver_that_comes_later_is_found_within_a_minute():
    """Until then nothing is loaded; the histogram is created when there are calls to time."""
    now, there, made = [0.0], [False], []

    class Gpu:
        def __init__(self):
            made.append(self)
            self.meters, self.closed = [], 0

        def read(self):
            return Report(())

        def instrument(self, meter):
            self.meters.append(meter)

        def close(self):
            self.closed += 1

    source = LateGpuSource(Gpu, is_there=lambda: there[0], clock=lambda: now[0])
    meter = LocalMeter()
    source.instrument(meter)
    assert [gap.kind for gap in source.read().gaps] == ["driver"]
    there[0] = True
    assert (source.read().gaps[0].kind, made) == ("driver", [])
    now[0] = RETRY_SECONDS
    assert source.read() == Report(())
    assert (len(made), made[0].meters) == (1, [meter])
    source.close()
    assert made[0].closed == 1
