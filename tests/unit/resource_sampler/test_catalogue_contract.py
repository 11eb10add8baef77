"""The catalogue of what a resource sampler should emit, row by row: name, kind, unit, attributes, and where from."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import test_every_row_of_the_catalogue as without_gpus
import test_gpu_table as of_gpus

from otel_ml import semconv
from otel_ml.resource_sampler import ContainerSource, HostSource, ProcessSource, ResourceSampler, find_origin
from otel_ml.resource_sampler.export._local_meter import LocalMeter
from otel_ml.resource_sampler.gpu._model_memory import model_memory

README = Path(semconv.__file__).parents[1] / "resource_sampler" / "README.md"
DEVICE = "hw.id hw.name hw.vendor hw.model"
SHARE = "hw.id otelml.gpu.attribution.method"
GPUS = f"""
hw.gpu.utilization | gauge | 1 | {DEVICE} hw.gpu.task | nvmlDeviceGetSamples nvmlDeviceGetUtilizationRates
hw.gpu.utilization | gauge | 1 | {DEVICE} hw.gpu.task | nvmlDeviceGetEncoderUtilization nvmlDeviceGetDecoderUtilization
hw.gpu.memory.usage | updowncounter | By | {DEVICE} | nvmlDeviceGetMemoryInfo
hw.gpu.memory.limit | updowncounter | By | {DEVICE} | nvmlDeviceGetMemoryInfo
hw.gpu.memory.utilization | gauge | 1 | {DEVICE} | nvmlDeviceGetMemoryInfo
hw.gpu.io | counter | By | {DEVICE} network.io.direction | 197 198
hw.energy | counter | J | {DEVICE} hw.type | 83
hw.power | gauge | W | {DEVICE} hw.type | 185 186 nvmlDeviceGetPowerUsage
otelml.gpu.power.limit | gauge | W | {DEVICE} | 190 nvmlDeviceGetEnforcedPowerLimit
hw.temperature | gauge | Cel | hw.id hw.parent hw.sensor_location | nvmlDeviceGetTemperatureV nvmlDeviceGetTemperature 82
hw.temperature.limit | gauge | Cel | hw.id hw.parent hw.sensor_location hw.limit_type | nvmlDeviceGetTemperatureThreshold
hw.fan.speed_ratio | gauge | 1 | hw.id hw.parent | nvmlDeviceGetFanSpeed_v2
hw.errors | counter | {{error}} | {DEVICE} hw.type error.type | 3 4 94 events
hw.status | updowncounter | 1 | {DEVICE} hw.type hw.state | 230 144 145
otelml.gpu.memory.remapped_rows | updowncounter | {{row}} | {DEVICE} otelml.gpu.memory.remap.cause | 142 143
otelml.gpu.clock.frequency | gauge | Hz | {DEVICE} otelml.gpu.clock.domain | nvmlDeviceGetClockInfo
otelml.gpu.clock.throttle.time | counter | s | {DEVICE} otelml.gpu.clock.throttle.reason | 74 75 76 269 270 271
otelml.gpu.clock.throttle.active | updowncounter | 1 | {DEVICE} otelml.gpu.clock.throttle.reason | nvmlDeviceGetCurrentClocksEventReasons
otelml.gpu.memory.activity | gauge | 1 | {DEVICE} | nvmlDeviceGetUtilizationRates
otelml.gpu.sm.activity | gauge | 1 | {DEVICE} | GPM 2
otelml.gpu.sm.occupancy | gauge | 1 | {DEVICE} | GPM 3
otelml.gpu.tensor.activity | gauge | 1 | {DEVICE} | GPM 5
otelml.gpu.dram.activity | gauge | 1 | {DEVICE} | GPM 10
otelml.gpu.nvlink.io | counter | By | {DEVICE} network.io.direction | 138 139 202 204
otelml.process.gpu.memory.usage | updowncounter | By | {SHARE} | attribution
otelml.process.gpu.utilization | gauge | 1 | {SHARE} | nvmlDeviceGetProcessUtilization
otelml.model.gpu.memory.usage | updowncounter | By | hw.id ml.model.name ml.model.version | PyTorch allocator
otelml.gpu.process.count | updowncounter | {{process}} | {DEVICE} otelml.gpu.process.owner | nvmlDeviceGetComputeRunningProcesses
otelml.sampler.nvml.call.duration | histogram | s | otelml.sampler.nvml.call | timer latencyUsec
"""
DISK, NETWORK = "system.device.name disk.io.direction", "network.interface.name network.io.direction"
MOUNT = "system.device.name system.filesystem.type system.filesystem.mode system.filesystem.mountpoint"
PRESSURE = "otelml.pressure.resource otelml.pressure.stall.type otelml.pressure.scope"
OTHERS = f"""
system.cpu.time | counter | s | cpu.mode | /proc/stat
system.cpu.utilization | gauge | 1 | cpu.mode | /proc/stat
system.cpu.logical.count | updowncounter | {{cpu}} | | /proc/stat
system.memory.usage | updowncounter | By | system.memory.state | /proc/meminfo
system.memory.utilization | gauge | 1 | system.memory.state | /proc/meminfo
system.memory.linux.available | updowncounter | By | | /proc/meminfo
system.paging.usage | updowncounter | By | system.paging.state | /proc/meminfo
system.paging.faults | counter | {{fault}} | system.paging.fault.type | /proc/vmstat
system.disk.io | counter | By | {DISK} | /proc/diskstats
system.disk.operations | counter | {{operation}} | {DISK} | /proc/diskstats
system.disk.operation_time | counter | s | {DISK} | /proc/diskstats
system.disk.io_time | counter | s | system.device.name | /proc/diskstats
system.filesystem.usage | updowncounter | By | {MOUNT} system.filesystem.state | statvfs
system.filesystem.utilization | gauge | 1 | {MOUNT} | statvfs
system.network.io | counter | By | {NETWORK} | /proc/net/dev
system.network.errors | counter | {{error}} | {NETWORK} | /proc/net/dev
system.network.packet.dropped | counter | {{packet}} | {NETWORK} | /proc/net/dev
process.cpu.time | counter | s | cpu.mode | /proc/<pid>/stat
process.cpu.utilization | gauge | 1 | cpu.mode | /proc/<pid>/stat
process.memory.usage | updowncounter | By | | /proc/<pid>/stat
process.memory.virtual | updowncounter | By | | /proc/<pid>/stat
otelml.process.memory.pss | updowncounter | By | | /proc/<pid>/smaps_rollup
process.disk.io | counter | By | disk.io.direction | /proc/<pid>/io
process.thread.count | updowncounter | {{thread}} | | /proc/<pid>/stat
process.unix.file_descriptor.count | updowncounter | {{file_descriptor}} | | /proc/<pid>/fd
otelml.process.file_descriptor.limit | updowncounter | {{file_descriptor}} | | /proc/<pid>/limits
process.context_switches | counter | {{context_switch}} | process.context_switch.type | getrusage
process.paging.faults | counter | {{fault}} | system.paging.fault.type | /proc/<pid>/stat
process.uptime | gauge | s | | /proc/<pid>/stat
cpython.gc.collections | counter | {{collection}} | cpython.gc.generation | gc.get_stats
cpython.gc.collected_objects | counter | {{object}} | cpython.gc.generation | gc.get_stats
cpython.gc.uncollectable_objects | counter | {{object}} | cpython.gc.generation | gc.get_stats
container.cpu.time | counter | s | cpu.mode | cpu.stat cpuacct.stat
container.memory.usage | updowncounter | By | | memory.current memory.usage_in_bytes
container.memory.working_set | updowncounter | By | | memory.stat
container.memory.rss | updowncounter | By | | memory.stat
container.memory.available | updowncounter | By | | memory.stat
container.paging.faults | counter | {{fault}} | system.paging.fault.type | memory.stat
container.disk.io | counter | By | {DISK} | io.stat blkio.throttle.io_service_bytes
otelml.container.cpu.limit | updowncounter | {{cpu}} | | cpu.max
otelml.container.memory.limit | updowncounter | By | | memory.max hierarchical_memory_limit
otelml.container.cpu.throttled.time | counter | s | | cpu.stat
otelml.container.cpu.throttled.periods | counter | {{period}} | | cpu.stat
otelml.container.cpu.periods | counter | {{period}} | | cpu.stat
otelml.container.memory.oom_kills | counter | {{event}} | | memory.events memory.oom_control
otelml.pressure.stall.time | counter | s | {PRESSURE} | /proc/pressure *.pressure
otelml.sampler.tick.duration | histogram | s | | sampler itself
otelml.sampler.collector.errors | counter | {{error}} | otelml.sampler.collector error.type | sampler itself
otelml.sampler.overruns | counter | {{tick}} | | sampler itself
otelml.sampler.last_success | gauge | s | otelml.sampler.collector | sampler itself
"""
ROWS = [[cell.strip() for cell in row.split("|")] for row in (GPUS + OTHERS).strip().splitlines() if row]
BEYOND = {
    # more than the catalogue asks for
    *("otelml.process.children.count", "otelml.process.children.cpu.time", "otelml.process.children.memory.usage"),
    *("otelml.sampler.interval", "otelml.sampler.cpu.time"),
}
BY_EVENT_OR_SHARE = {
    "events": of_gpus.test_xids_come_from_events,
    "attribution": of_gpus.test_shares_of_process_and_model_come_from_lists_and_allocator,
    "allocator": of_gpus.test_shares_of_process_and_model_come_from_lists_and_allocator,
    "nvmlDeviceGetProcessUtilization": of_gpus.test_shares_of_process_and_model_come_from_lists_and_allocator,
}
"""What has a test of its own in place of a row in the table of driver calls."""


class Torch:
    """Answers like torch about one device of which a model holds half."""

    def __init__(self):
        self.held = 0
        properties = SimpleNamespace(uuid="b")
        self.cuda = SimpleNamespace(
            is_initialized=lambda: True,
            device_count=lambda: 1,
            get_device_properties=lambda _: properties,
            memory_reserved=lambda _: 2 * self.held,
            memory_allocated=lambda _: self.held,
        )


@pytest.fixture
def emitted(driver, gpus, data, tmp_path, monkeypatch):
    """Attribute names of all points that all sources can give, by metric."""
    folder = tmp_path / "proc" / "500" / "fd"
    folder.mkdir(parents=True)
    (folder / "3").symlink_to("/dev/nvidia-uvm")
    no_times = [f"0 - 1 return field:{number} 3" for number in (74, 75, 76, 269, 270, 271)]
    driver.load("0 - 0 process 500 4096", "0 - 0 busy 500 30", *no_times)
    torch = Torch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    with model_memory("fraud", "1"):
        torch.held = 512
    now = [100.0]
    host = HostSource(proc=data / "proc_node", sys=data / "proc_node" / "sys", utilization=True, mounts=["/"])
    process = ProcessSource(utilization=True, pss=True, clock=lambda: now[0])
    tree = data / "cgroup_v2_private"
    container = ContainerSource(proc=tree / "proc", root=tree)
    absent = ProcessSource(4194305)
    sources = [host, process, container, absent, gpus(gpm=True, pid=500), gpus(gpm=True)]
    meter = LocalMeter()
    samplers = [ResourceSampler(sources=[source], budget=64) for source in sources]
    found: dict[str, set[frozenset[str]]] = {}
    for second in (30, 60):
        driver.at(second)
        now[0] += 10.0
        for sampler in samplers:
            sampler.instrument(meter)
            for name, points in sampler.tick().items():
                found.setdefault(name, set()).update(frozenset(attributes) for _, attributes in points)
        host._cpu._before = dict.fromkeys(host._cpu._before, 0.0)
    for name, histogram in meter.histograms.items():
        found[name] = {frozenset(attributes) for attributes, _, _ in histogram.cells()}
    return found


def test_every_row_is_emitted_with_its_attributes_and_nothing_else_is(emitted):
    """The sources emit what the catalogue and the README list."""
    expected = {name: {frozenset(attributes.split())} for name, _, _, attributes, _ in ROWS}
    assert {name: keys for name, keys in emitted.items() if name not in BEYOND} == expected
    assert emitted.keys() == expected.keys() | BEYOND


def test_every_row_has_its_kind_and_unit():
    """Kinds and units follow the convention, also those of our own metrics."""
    known = {metric.name: (metric.instrument, metric.unit) for metric in semconv.metrics()}
    assert {name: known[name] for name, *_ in ROWS} == {name: (kind, unit) for name, kind, unit, _, _ in ROWS}


def documented():
    """The cells of the README's tables beside each metric."""
    found: dict[str, str] = {}
    for line in html.unescape(README.read_text(encoding="utf-8")).splitlines():
        if line.startswith("| ") and line.count("|") >= 3:
            for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", line.split("|")[1]):
                found[name] = found.get(name, "") + line.partition("|")[2].partition("|")[2]
    return found


def test_every_row_is_in_the_readme_with_its_source():
    """The README states the source of every figure."""
    sources = documented()
    missing = [(name, word) for name, *_, words in ROWS for word in words.split() if word not in sources.get(name, "")]
    assert missing == []
    assert sorted(BEYOND - sources.keys()) == []


def test_every_source_has_a_test_that_names_it():
    """Every source is in a table of calls or files, or has a separate test."""
    rows = [*of_gpus.TABLE, *[row[:5] for row in of_gpus.FALLBACKS]]
    unnamed = []
    for name, *_, words in [row for row in ROWS if row[0].startswith(("hw.", "otelml.gpu", "otelml.process.gpu"))]:
        tested = [row for row in rows if row[0] == name]
        text = " ".join(f"{call} {answer}" for _, _, call, answer, _ in tested)
        for word in words.split():
            pattern = rf"\b(field|gpm):{word}\b" if word.isdigit() else word
            if word not in {*BY_EVENT_OR_SHARE, "GPM"} and not re.search(pattern, text):
                unnamed.append((name, word))
    assert unnamed == []
    files = {name for text in without_gpus.ROWS.values() for name in text.split()}
    others = {name for name, *_ in ROWS if name.startswith(("system.", "process.", "container.", "cpython."))}
    assert others - files == set()
    origins = {
        metric.name: find_origin("host", metric) or find_origin("container", metric) for metric in semconv.metrics()
    }
    assert [name for name in sorted(others) if not origins[name]] == []
