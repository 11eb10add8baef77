from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from otel_ml.resource_sampler import Gap, HostSource, ProcessSource
from otel_ml.resource_sampler._portable import PortableHostSource, PortableProcessSource


def by_key(rows):
    return {(name, *sorted(attributes.items())): value for name, value, attributes in rows}


@pytest.mark.parametrize("part", ["cpu", "memory", "paging", "disk", "filesystem", "network"])
def test_psutil_and_proc_give_the_same_series(flat, part):
    """Both kinds of system speak the same names, units and attributes; the values are close where both exist."""
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
    """A process that ends or refuses is no exception and no number."""

    def refuse(_):
        raise error

    fake = SimpleNamespace(Process=refuse, NoSuchProcess=psutil.NoSuchProcess, AccessDenied=psutil.AccessDenied)
    report = PortableProcessSource(7, psutil=fake).read()
    assert report.readings == ()
    assert {gap.kind for gap in report.gaps} == {kind}
