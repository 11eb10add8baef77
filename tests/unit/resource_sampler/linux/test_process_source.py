from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import psutil
import pytest

from otel_ml.resource_sampler import Gap, ProcessSource


def target(data, **options):
    return ProcessSource(4242, proc=data / "proc_node", boot_clock=lambda: 600.0, **options)


CHILDREN = [
    ("otelml.process.children.cpu.time", pytest.approx(3.0 + 10.2 + 0.5), {"cpu.mode": "user"}),
    ("otelml.process.children.cpu.time", pytest.approx(0.4 + 1.1 + 0.05), {"cpu.mode": "system"}),
    ("otelml.process.children.count", 2, {}),
    ("otelml.process.children.memory.usage", 750 * os.sysconf("SC_PAGE_SIZE"), {}),
]
"""A child, its child, and what ended ones left with the process."""


def test_the_figures_of_another_process(data, flat):
    """All of them in base units; a name with spaces and brackets does not shift the columns."""
    report = target(data).read()
    assert flat(report) == [
        ("process.cpu.time", pytest.approx(150.3), {"cpu.mode": "user"}),
        ("process.cpu.time", pytest.approx(20.7), {"cpu.mode": "system"}),
        ("process.memory.usage", 35900 * os.sysconf("SC_PAGE_SIZE"), {}),
        ("process.memory.virtual", 313344000, {}),
        ("process.thread.count", 17, {}),
        ("process.paging.faults", 21, {"system.paging.fault.type": "major"}),
        ("process.paging.faults", 9600, {"system.paging.fault.type": "minor"}),
        ("process.uptime", pytest.approx(600 - 577.9), {}),
        ("process.disk.io", 172032, {"disk.io.direction": "read"}),
        ("process.disk.io", 4096, {"disk.io.direction": "write"}),
        ("process.unix.file_descriptor.count", 7, {}),
        ("otelml.process.file_descriptor.limit", 20000, {}),
        *CHILDREN,
    ]
    assert report.gaps == (Gap("process context switches", "unsupported", "only known for the own process"),)


def test_the_own_process_adds_context_switches_and_garbage_collection(flat):
    """Context switches are those of all threads, as getrusage counts them."""
    source = ProcessSource(
        usage=lambda: SimpleNamespace(ru_nvcsw=5, ru_nivcsw=3),
        gc_stats=lambda: [{"collections": 4, "collected": 20, "uncollectable": 0}],
    )
    report = source.read()
    assert flat(report)[-5:] == [
        ("process.context_switches", 5, {"process.context_switch.type": "voluntary"}),
        ("process.context_switches", 3, {"process.context_switch.type": "involuntary"}),
        ("cpython.gc.collections", 4, {"cpython.gc.generation": 0}),
        ("cpython.gc.collected_objects", 20, {"cpython.gc.generation": 0}),
        ("cpython.gc.uncollectable_objects", 0, {"cpython.gc.generation": 0}),
    ]
    assert report.gaps == ()


def test_the_share_of_the_available_cpus(data, flat, tmp_path):
    """Time used over time passed and CPUs available, from the second reading on."""
    root = shutil.copytree(data / "proc_node", tmp_path / "proc")
    now = [100.0]
    source = ProcessSource(
        4242, proc=root, utilization=True, cpus=lambda: 2.0, clock=lambda: now[0], boot_clock=lambda: 600.0
    )
    first = flat(source.read())
    stat = root / "4242" / "stat"
    stat.write_text(stat.read_text().replace(" 15030 2070 ", " 15530 2170 "))
    now[0] = 110.0
    second = flat(source.read())
    assert [row for row in first if row[0] == "process.cpu.utilization"] == []
    assert [row for row in second if row[0] == "process.cpu.utilization"] == [
        ("process.cpu.utilization", pytest.approx(0.25), {"cpu.mode": "user"}),
        ("process.cpu.utilization", pytest.approx(0.05), {"cpu.mode": "system"}),
    ]


def test_a_reused_process_id_starts_its_shares_again(data, flat, tmp_path):
    """A difference between two processes of the same id has no meaning."""
    root = shutil.copytree(data / "proc_node", tmp_path / "proc")
    now = [100.0]
    source = ProcessSource(4242, proc=root, utilization=True, clock=lambda: now[0], boot_clock=lambda: 600.0)
    source.read()
    stat = root / "4242" / "stat"
    stat.write_text(stat.read_text().replace(" 57790 ", " 58000 "))
    now[0] = 110.0
    assert [row for row in flat(source.read()) if row[0] == "process.cpu.utilization"] == []


def test_a_process_that_is_gone_is_one_gap(data):
    """There is no point, and one gap instead of one for each file."""
    report = ProcessSource(31337, proc=data / "proc_node").read()
    assert (report.readings, report.gaps) == ((), (Gap("process 31337", "vanished"),))


@pytest.mark.parametrize("name", ["stat", "io", "limits", "fd"])
def test_a_file_that_vanishes_while_reading_costs_only_itself(data, tmp_path, flat, name):
    """The /proc entries of an ending process disappear one by one."""
    whole = flat(target(data).read())
    root = shutil.copytree(data / "proc_node", tmp_path / "proc")
    entry = root / "4242" / name
    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    report = ProcessSource(4242, proc=root, boot_clock=lambda: 600.0).read()
    rows = flat(report)
    assert rows == [row for row in whole if row in rows]
    assert 0 < len(rows) < len(whole)
    assert "absent" in {gap.kind for gap in report.gaps}


def test_an_unlimited_descriptor_limit_has_no_point(data, tmp_path, flat):
    """An unlimited limit has no point, because it is not a number."""
    root = shutil.copytree(data / "proc_node", tmp_path / "proc")
    (root / "4242" / "limits").write_text("Max open files            unlimited            unlimited            files\n")
    rows = flat(ProcessSource(4242, proc=root, boot_clock=lambda: 600.0).read())
    assert [row for row in rows if row[0] == "otelml.process.file_descriptor.limit"] == []


def test_an_uptime_below_zero_has_no_point(data, flat):
    """A start after now is malformed, not a negative uptime."""
    report = ProcessSource(4242, proc=data / "proc_node", boot_clock=lambda: 1.0).read()
    assert [row for row in flat(report) if row[0] == "process.uptime"] == []
    assert Gap("process stat", "malformed", "ValueError") in report.gaps


def test_live_figures_agree_with_psutil(flat):
    """An independent reader of the same process returns the same figures."""
    rows = {(name, *attributes.values()): value for name, value, attributes in flat(ProcessSource().read())}
    process = psutil.Process()
    assert rows["process.memory.usage",] == pytest.approx(process.memory_info().rss, rel=0.2)
    assert rows["process.thread.count",] == process.num_threads()
    assert rows["process.cpu.time", "user"] == pytest.approx(process.cpu_times().user, abs=1)
