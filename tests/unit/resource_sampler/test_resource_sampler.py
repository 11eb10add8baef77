from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from opentelemetry.metrics import NoOpMeter

from otel_ml import _guard, semconv
from otel_ml.resource_sampler import Gap, GpuSource, Reading, Report, ResourceSampler


class Scripted:
    """A source that gives one reading from a list a tick, then the last for ever; an exception is raised."""

    def __init__(self, *script, name="host", metric=semconv.SYSTEM_DISK_IO):
        self.name, self.metrics = name, (metric,)
        self.script, self.metric = list(script), metric
        self.reads, self.closed, self.threads = 0, 0, set()

    def read(self):
        item = self.script[min(self.reads, len(self.script) - 1)]
        self.reads += 1
        self.threads.add(threading.current_thread().name)
        if isinstance(item, Exception):
            raise item
        if isinstance(item, Gap):
            return Report((), (item,))
        return Report((Reading(self.metric, item, {"system.device.name": "vda"}),))

    def close(self):
        self.closed += 1


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def points(collected, name="system.disk.io"):
    return collected.get(name)


VDA = {"system.device.name": "vda"}


def test_two_ticks_reach_the_reader_and_counters_never_fall(provider, collect):
    """The last readings are observed; a restarted counter continues."""
    source = Scripted(100, 150, 20)
    seen = []
    with ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64):
        wait_for(lambda: source.reads > 4)
        seen.append(points(collect(provider.reader)))
    assert seen == [[(VDA, 170)]]


def test_callbacks_never_read_a_source(provider, collect):
    """All reading happens on the sampler's own thread, however often a reader collects."""
    source = Scripted(1)
    with ResourceSampler(3600, sources=[source], meter=provider.meter):
        wait_for(lambda: collect(provider.reader).get("system.disk.io"))
        for _ in range(5):
            collect(provider.reader)
        assert (source.reads, source.threads) == (1, {"otel-ml-resource-sampler"})


def test_a_source_that_fails_has_no_point_and_is_counted(provider, collect):
    """The old value is not repeated, the other source is read, and the failure is counted by kind."""
    bad = Scripted(7, RuntimeError("x"), name="gpu", metric=semconv.HW_ENERGY)
    good = Scripted(1)
    with ResourceSampler(0.05, sources=[bad, good], meter=provider.meter, budget=64):
        wait_for(lambda: bad.reads > 3)
        collected = collect(provider.reader)
    assert points(collected, "hw.energy") is None
    assert points(collected) == [(VDA, 1)]
    ((attributes, count),) = collected["otelml.sampler.collector.errors"]
    assert attributes == {"otelml.sampler.collector": "gpu", "error.type": "failed"}
    assert count >= 2
    assert _guard.counts() == {"resource_sampler.source": _guard.counts()["resource_sampler.source"]}


@pytest.mark.parametrize(
    ("kind", "is_counted"), [("permission", True), ("io", True), ("driver", False), ("absent", False)]
)
def test_what_a_machine_lacks_is_no_error(provider, collect, kind, is_counted):
    """A machine without a GPU must not look broken; a refused reading must."""
    source = Scripted(Gap("x", kind), name="gpu")
    with ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64):
        wait_for(lambda: source.reads > 2)
        assert ("otelml.sampler.collector.errors" in collect(provider.reader)) is is_counted


def test_the_sampler_reports_about_itself(provider, collect):
    """It reports the duration of ticks and the last success of each source with readings."""
    with ResourceSampler(
        0.05, sources=[Scripted(1), Scripted(Gap("x", "io"), name="gpu")], meter=provider.meter, budget=64
    ):
        wait_for(lambda: "otelml.sampler.last_success" in collect(provider.reader))
        collected = collect(provider.reader)
    ((attributes, at),) = collected["otelml.sampler.last_success"]
    assert attributes == {"otelml.sampler.collector": "host"}
    assert at == pytest.approx(time.time(), abs=60)
    assert "otelml.sampler.tick.duration" in collected


def test_a_tick_longer_than_the_interval_is_an_overrun(provider, collect):
    """It is counted, and ticks do not pile up."""

    class Slow(Scripted):
        def read(self):
            time.sleep(0.1)
            return super().read()

    source = Slow(1)
    with ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64):
        wait_for(lambda: source.reads > 2)
        assert collect(provider.reader)["otelml.sampler.overruns"][0][1] >= 1


def test_a_stale_snapshot_has_no_points(provider, collect):
    """A source that hangs leaves a gap, not its last value."""
    release = threading.Event()
    now = [0.0]

    class Hanging(Scripted):
        def read(self):
            if self.reads:
                release.wait(30)
            return super().read()

    source = Hanging(1)
    sampler = ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64, clock=lambda: now[0])
    with sampler:
        wait_for(lambda: points(collect(provider.reader)))
        now[0] = 5.0
        fresh = points(collect(provider.reader))
        now[0] = 5.1
        stale = points(collect(provider.reader))
        release.set()
    assert (fresh, stale) == ([(VDA, 1)], None)


def test_a_source_that_hangs_is_named_once_in_the_log_and_once_when_it_returns(provider, collect, caplog):
    """A dead disk or mount blocks the thread; the log names the reason."""
    caplog.set_level("INFO", "otel_ml")
    release = threading.Event()
    now = [0.0]

    class Hanging(Scripted):
        def read(self):
            if self.reads == 1:
                release.wait(30)
            return super().read()

    sampler = ResourceSampler(0.05, sources=[Hanging(1)], meter=provider.meter, budget=64, clock=lambda: now[0])
    with sampler:
        wait_for(lambda: points(collect(provider.reader)) and sampler._reading_since)
        for now[0] in (5.0, 5.1, 6.0):
            collect(provider.reader)
        release.set()
        wait_for(lambda: points(collect(provider.reader)))
    assert caplog.messages == [
        "otel-ml: reading the host hangs: all readings are absent until it returns",
        "otel-ml: reading the host has returned: readings are there again",
    ]


def test_stop_withdraws_the_points_and_is_safe_at_any_time(provider, collect):
    """`stop` is safe before start, twice, and after a restart."""
    source = Scripted(1)
    sampler = ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64)
    sampler.stop()
    sampler.start()
    sampler.start()
    wait_for(lambda: points(collect(provider.reader)))
    sampler.stop()
    sampler.stop()
    assert (sampler.is_running, source.closed, points(collect(provider.reader))) == (False, 1, None)
    sampler.start()
    wait_for(lambda: points(collect(provider.reader)))
    sampler.stop()
    assert (sampler.is_running, source.closed) == (False, 2)


def test_stop_does_not_wait_for_a_hanging_source(provider):
    """The thread stays as a daemon, and no second one is started."""
    release = threading.Event()

    class Hanging(Scripted):
        def read(self):
            release.wait(30)
            return super().read()

    source = Hanging(1)
    sampler = ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64)
    sampler.start()
    sampler.stop(timeout=0.05)
    sampler.start()
    names = [thread.name for thread in threading.enumerate()]
    release.set()
    wait_for(lambda: source.closed)
    sampler.stop()
    assert names.count("otel-ml-resource-sampler") == 1


def test_a_second_sampler_does_not_break_the_first(provider, collect, caplog):
    """An SDK keeps only the first callback of an instrument; the second sampler stays off."""
    first, second = Scripted(1), Scripted(2)
    other = ResourceSampler(0.05, sources=[second], meter=provider.meter, budget=64)
    with ResourceSampler(0.05, sources=[first], meter=provider.meter, budget=64):
        other.start()
        wait_for(lambda: points(collect(provider.reader)))
        assert (points(collect(provider.reader)), other.is_running, second.reads) == ([(VDA, 1)], False, 0)
    with other:
        wait_for(lambda: points(collect(provider.reader)))
        assert points(collect(provider.reader)) == [(VDA, 2)]
    assert [record.getMessage() for record in caplog.records] == [
        "otel-ml: a resource sampler already runs on this meter; the second one stays off"
    ]


def test_without_metrics_no_thread_is_started():
    """A no-op meter gets no ticks."""
    source = Scripted(1)
    sampler = ResourceSampler(0.05, sources=[source], meter=NoOpMeter("off"))
    sampler.start()
    assert (sampler.is_running, source.reads) == (False, 0)


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_ML_SAMPLER", "OFF")])
def test_what_is_switched_off_starts_no_thread(provider, monkeypatch, name, value):
    """OTEL_SDK_DISABLED and the sampler's own switch are obeyed."""
    monkeypatch.setenv(name, value)
    sampler = ResourceSampler(0.05, sources=[Scripted(1)], meter=provider.meter, budget=64)
    sampler.start()
    assert sampler.is_running is False


@pytest.mark.parametrize("interval", [0, -1, 0.001, float("nan"), float("inf"), 1e10])
def test_an_interval_that_makes_no_sense_is_refused(interval):
    """The message names the value, before any traffic."""
    with pytest.raises(ValueError, match=r"^interval=.* must be a number of seconds from 0.05 to 86400$"):
        ResourceSampler(interval)


def test_an_unknown_mode_is_refused():
    """The message names the remedy, before any traffic."""
    with pytest.raises(ValueError, match="^mode='pod' is unknown: use process, sidecar or node$"):
        ResourceSampler(mode="pod")


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("process", ["process", "container", "gpu"]),
        ("sidecar", ["host", "process", "container", "gpu"]),
        ("node", ["host", "process", "container", "gpu"]),
    ],
)
def test_the_sources_of_each_mode_read_this_machine(mode, names):
    """Each mode takes one snapshot of the real machine, without a thread."""
    snapshot = ResourceSampler(mode=mode).sample()
    assert [part.source for part in snapshot.sources] == names
    assert {r.metric.name for part in snapshot.sources for r in part.readings} >= {"process.cpu.time"}


def test_every_metric_that_is_read_was_announced():
    """Instruments are made from a source's list; a metric outside of it would be lost."""
    sampler = ResourceSampler(mode="node", utilization=True)
    sampler.sample()
    snapshot = sampler.sample()
    for part, source in zip(snapshot.sources, sampler._sources, strict=True):
        assert {reading.metric for reading in part.readings} <= set(source.metrics)


def test_a_live_run_in_node_mode(provider, collect, nvml):
    """Host, process and a (fake) GPU, from the first tick on, through a real SDK reader."""
    from otel_ml.resource_sampler._sampler import select_sources

    sources = [*select_sources("node")[:-1], GpuSource(nvml=nvml)]
    with ResourceSampler(0.1, sources=sources, meter=provider.meter, budget=1):
        wait_for(lambda: "hw.power" in collect(provider.reader))
        collected = collect(provider.reader)
    assert set(collected) >= {
        "system.cpu.time",
        "system.memory.usage",
        "process.memory.usage",
        "hw.gpu.utilization",
        "hw.status",
        "otelml.sampler.last_success",
    }


def test_the_default_meter_works_before_and_after_a_provider_is_set():
    """The global provider's reader sees the running sampler, whether started before or after `configure`."""
    code = """
import time
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
import otel_ml

def names(reader):
    data = reader.get_metrics_data()
    return {m.name for r in (data.resource_metrics if data else ()) for s in r.scope_metrics for m in s.metrics
            if m.data.data_points}

def wait(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()

first, second = otel_ml.ResourceSampler(0.05, budget=1), otel_ml.ResourceSampler(0.05, mode="node", budget=1)
first.start()
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
seen = [wait(lambda: "process.cpu.time" in names(reader))]
first.stop()
seen.append("process.cpu.time" in names(reader))
second.start()
seen.append(wait(lambda: {"process.cpu.time", "system.cpu.time"} <= names(reader)))
second.stop()
print(seen)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    assert (finished.stdout, finished.stderr) == ("[True, False, True]\n", "")


def test_a_sampler_that_starts_again_after_its_end_has_its_interval(provider):
    """The end that was announced is over with the next start, so that *SamplerDown* sees this one fail."""
    sampler = ResourceSampler(0.05, sources=[Scripted(1)], meter=provider.meter, budget=64)
    name = semconv.SAMPLER_INTERVAL.name

    def interval():
        return [point.value for point in sampler.observations(name)]

    with sampler:
        wait_for(lambda: interval() == [0.05])
        sampler.announce_end()
        assert interval() == [0.0]
    with sampler:
        wait_for(lambda: interval() == [0.05])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_shows_nothing_of_its_parent_and_samples_on_demand(provider, collect):
    """No stale point and no offset is inherited; the first collection starts the child's thread."""
    source = Scripted(100, metric=semconv.PROCESS_CPU_TIME)

    with ResourceSampler(0.05, sources=[source], meter=provider.meter, budget=64) as sampler:
        wait_for(lambda: points(collect(provider.reader), "process.cpu.time"))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            source.script, source.reads = [3], 0
            answer = [sampler.is_running, sampler.observations("process.cpu.time")]
            wait_for(lambda: sampler.observations("process.cpu.time"))
            answer.append([point.value for point in sampler.observations("process.cpu.time")])
            os.write(writing, repr(answer).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            assert answer.read() == "[False, (), [3]]"
        os.waitpid(child, 0)
        assert sampler.is_running
