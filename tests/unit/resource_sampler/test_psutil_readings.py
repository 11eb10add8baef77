from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from otel_ml.resource_sampler import Gap, HostSource, ProcessSource
from otel_ml.resource_sampler._psutil_readings import PortableHostSource, PortableProcess, PortableProcessSource


def by_key(rows):
    return {(name, *sorted(attributes.items())): value for name, value, attributes in rows}


@pytest.mark.parametrize("part", ["cpu", "memory", "paging", "disk", "filesystem", "network"])
def test_psutil_and_proc_give_the_same_series(flat, part):
    """Both have the same names, units and attributes; values are close where both exist."""
    portable = by_key(flat(PortableHostSource(parts=[part]).read()))
    own = by_key(flat(HostSource(parts=(part,)).read()))
    common = {key for key in portable if key in own}
    assert common, part
    for key in common:
        assert portable[key] == pytest.approx(own[key], rel=0.1, abs=1e6), key


def test_the_own_process_has_the_same_figures_either_way(flat):
    """CPU time, memory, threads, storage and uptime agree."""
    portable, own = by_key(flat(PortableProcessSource().read())), by_key(flat(ProcessSource().read()))
    assert set(portable) <= set(own)
    for name in ("process.memory.virtual", "process.thread.count"):
        assert portable[name,] == pytest.approx(own[name,], rel=0.05)
    assert portable["process.uptime",] == pytest.approx(own["process.uptime",], abs=5)


def test_what_a_system_does_not_offer_is_a_gap(flat):
    """macOS has no per-process storage figures, Windows no descriptors."""
    process = SimpleNamespace(
        cpu_times=lambda: SimpleNamespace(user=1.5, system=0.5),
        memory_info=lambda: SimpleNamespace(rss=10, vms=20),
        num_threads=lambda: 3,
        create_time=lambda: 100.0,
    )
    fake = SimpleNamespace(
        Process=lambda pid: process, NoSuchProcess=psutil.NoSuchProcess, AccessDenied=psutil.AccessDenied
    )
    report = PortableProcessSource(7, psutil=fake, clock=lambda: 160.0).read()
    assert flat(report) == [
        ("process.cpu.time", 1.5, {"cpu.mode": "user"}),
        ("process.cpu.time", 0.5, {"cpu.mode": "system"}),
        ("process.memory.usage", 10, {}),
        ("process.memory.virtual", 20, {}),
        ("process.thread.count", 3, {}),
        ("process.uptime", 60.0, {}),
    ]
    assert report.gaps == (
        Gap("process disk io", "unsupported", "not offered by this system"),
        Gap("process file descriptors", "unsupported", "not offered by this system"),
    )


@pytest.mark.parametrize(
    ("error", "kind"), [(psutil.NoSuchProcess(7), "vanished"), (psutil.AccessDenied(7), "permission")]
)
def test_errors_of_psutil_are_gaps(error, kind):
    """A process that ends or refuses access is a gap."""

    def refuse(_):
        raise error

    fake = SimpleNamespace(Process=refuse, NoSuchProcess=psutil.NoSuchProcess, AccessDenied=psutil.AccessDenied)
    report = PortableProcessSource(7, psutil=fake).read()
    assert report.readings == ()
    assert {gap.kind for gap in report.gaps} == {kind}


class Machine:
    """Answers like psutil about a table of processes: id, then name, start and CPU seconds."""

    NoSuchProcess, AccessDenied, STATUS_ZOMBIE = psutil.NoSuchProcess, psutil.AccessDenied, psutil.STATUS_ZOMBIE

    def __init__(self, **table):
        self.table = {}
        self.live(**table)

    def live(self, **table):
        self.table = {int(pid.removeprefix("p")): row for pid, row in table.items()}

    def Process(self, pid):
        if pid not in self.table:
            raise psutil.NoSuchProcess(pid)
        name, started, seconds = self.table[pid]
        return SimpleNamespace(
            pid=pid,
            info={"name": name},
            status=lambda: psutil.STATUS_ZOMBIE if name == "zombie" else psutil.STATUS_RUNNING,
            create_time=lambda: started,
            cpu_times=lambda: SimpleNamespace(user=seconds, system=0.0),
            memory_info=lambda: SimpleNamespace(rss=10, vms=20),
            num_threads=lambda: 3,
            io_counters=lambda: SimpleNamespace(read_bytes=int(seconds), write_bytes=0),
            num_fds=lambda: 4,
        )

    def process_iter(self, _):
        return [self.Process(pid) for pid in self.table]


def counted(source):
    rows = by_key((r.metric.name, r.value, dict(r.attributes)) for r in source.read().readings)
    key = ("process.cpu.time", ("cpu.mode", "user")), ("process.disk.io", ("disk.io.direction", "read"))
    return tuple(rows.get(one) for one in key)


def test_counters_continue_after_a_restart_whatever_their_values():
    """Id and start show the restart: the new counters may be higher than the last ones."""
    machine, now = Machine(p7=("worker", 1.0, 100.0)), [0.0]
    named = PortableProcess(name="worker", psutil=machine, clock=lambda: now[0])
    source = PortableProcessSource(named, psutil=machine, clock=lambda: 60.0)
    rows = [counted(source)]
    machine.live(p7=("worker", 9.0, 150.0))  # the same id
    now[0] = 10.0
    rows.append(counted(source))
    machine.live(p8=("worker", 11.0, 160.0))
    now[0] = 20.0
    rows.append(counted(source))
    assert rows == [(100.0, 100), (250.0, 250), (410.0, 410)]


def test_a_later_process_of_the_same_id_is_another_process():
    """Its figures are not read, and the first process stays ended."""
    machine = Machine(p7=("worker", 1.0, 100.0))
    source = PortableProcessSource(PortableProcess(7, psutil=machine), psutil=machine, clock=lambda: 60.0)
    before = counted(source)
    machine.live(p7=("other", 2.0, 300.0))
    report = source.read()
    assert (before, report.readings) == ((100.0, 100), ())
    assert report.gaps == (Gap("process", "vanished", "it has ended, or there is none of that name"),)


def test_the_oldest_process_of_a_name_is_found_that_is_alive():
    """A zombie and the sampler itself are skipped."""
    machine = Machine(p5=("zombie", 0.5, 1.0), p9=("worker", 3.0, 1.0), p8=("worker", 2.0, 1.0))
    machine.table[psutil.Process().pid] = ("worker", 1.0, 1.0)
    now = [0.0]
    named = PortableProcess(name="worker", psutil=machine, clock=lambda: now[0])
    seen = [named()]
    machine.live()
    seen.append(named())
    now[0] = 10.0
    seen.append(named())
    assert (seen, PortableProcess(name="zombie", psutil=machine)()) == ([8, None, None], None)


def test_a_live_process_is_found_by_psutil_too():
    """The stand-in above behaves like psutil."""
    own = psutil.Process()
    assert (PortableProcess(own.pid)(), PortableProcess(4194305)()) == (own.pid, None)
    assert PortableProcessSource(PortableProcess(own.pid)).read().readings
