"""Every non-GPU row of the catalogue of resource metrics: emitted from a recorded tree, with the source it names."""

from __future__ import annotations

import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import ContainerSource, HostSource, ProcessSource, ResourceSampler, find_origin
from otel_ml.resource_sampler._figure_sources import ORIGINS
from otel_ml.resource_sampler._source import Report

ROWS = {
    "host": (
        "system.cpu.time system.cpu.utilization system.cpu.logical.count system.memory.usage system.memory.utilization "
        "system.memory.linux.available system.paging.usage system.paging.faults system.disk.io system.disk.operations "
        "system.disk.operation_time system.disk.io_time system.filesystem.usage system.filesystem.utilization "
        "system.network.io system.network.errors system.network.packet.dropped otelml.pressure.stall.time"
    ),
    "process": (
        "process.cpu.time process.cpu.utilization process.memory.usage process.memory.virtual otelml.process.memory.pss "
        "process.disk.io process.thread.count process.unix.file_descriptor.count otelml.process.file_descriptor.limit "
        "process.context_switches process.paging.faults process.uptime cpython.gc.collections "
        "cpython.gc.collected_objects cpython.gc.uncollectable_objects otelml.process.children.count "
        "otelml.process.children.cpu.time otelml.process.children.memory.usage"
    ),
    "container": (
        "container.cpu.time container.memory.usage container.memory.working_set container.memory.rss "
        "container.memory.available container.paging.faults container.disk.io otelml.container.cpu.limit "
        "otelml.container.memory.limit otelml.container.cpu.throttled.time otelml.container.cpu.throttled.periods "
        "otelml.container.cpu.periods otelml.container.memory.oom_kills otelml.pressure.stall.time"
    ),
}


@pytest.fixture
def emitted(data, tmp_path):
    """Names that each source gives, the opt-in ones too."""
    host = HostSource(proc=data / "proc_node", sys=data / "proc_node" / "sys", utilization=True, mounts=["/"])
    host.read()
    host._cpu._before = dict.fromkeys(host._cpu._before, 0.0)
    now = [100.0]
    process = ProcessSource(utilization=True, pss=True, clock=lambda: now[0])
    process.read()
    now[0] = 110.0
    container = ContainerSource(proc=data / "cgroup_v2_private" / "proc", root=data / "cgroup_v2_private")
    return {source.name: source.read() for source in (host, process, container)}


@pytest.mark.parametrize("source", list(ROWS))
def test_every_row_is_emitted_and_names_where_it_comes_from(emitted, source):
    """All of the catalogue is emitted, and nothing else."""
    report: Report = emitted[source]
    assert {reading.metric.name for reading in report.readings} == set(ROWS[source].split())
    assert all(find_origin(source, reading.metric) for reading in report.readings)


def test_the_sampler_reports_about_itself_in_every_row():
    """The rows are duration, errors, overruns, last success, interval and own CPU time."""
    from otel_ml.resource_sampler._health import METRICS

    assert {metric.name for metric in METRICS} | {semconv.SAMPLER_TICK_DURATION.name} == {
        "otelml.sampler.last_success",
        "otelml.sampler.collector.errors",
        "otelml.sampler.overruns",
        "otelml.sampler.interval",
        "otelml.sampler.cpu.time",
        "otelml.sampler.tick.duration",
    }
    assert {"otelml.sampler.interval", "otelml.sampler.cpu.time", "otelml.sampler.overruns"} <= set(
        ResourceSampler(sources=[]).tick()
    )


def test_the_readme_lists_every_metric(data):
    """What is emitted is documented, with the same source."""
    readme = (data.parents[1] / "otel_ml" / "resource_sampler" / "README.md").read_text(encoding="utf-8")
    missing = [
        metric.name
        for metric in ORIGINS
        if metric.name not in readme and f"`.{metric.name.rpartition('.')[2]}`" not in readme
    ]
    assert missing == []
