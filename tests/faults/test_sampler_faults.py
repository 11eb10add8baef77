"""The resource sampler on a machine with reboots, restarts, wraps and refused files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_ml import _guard, semconv
from otel_ml.resource_sampler import (
    ContainerSource,
    Gap,
    HostSource,
    NamedProcess,
    ProcessSource,
    Reading,
    Report,
    ResourceSampler,
)

DATA = Path(__file__).parents[1] / "data"
DAY = 24 * 3600
RATE = 500_000
"""Bytes a second of an interface."""
COUNTERS = {metric.name for metric in semconv.metrics() if metric.instrument == "counter"}


@pytest.fixture(autouse=True)
def fresh_guard():
    _guard.reset()
    yield
    _guard.reset()


class Machine:
    """A recorded /proc over a day: two reboots, a wrapped and a reset counter, a restarted service."""

    def __init__(self, root: Path) -> None:
        self.proc = shutil.copytree(DATA / "proc_node", root / "proc")
        self.now = 0.0
        self.booted = 0.0

    def live(self, now: float) -> None:
        """Writes what the kernel would report at this time."""
        self.now = now
        if now in {8 * 3600, 16 * 3600}:
            self.booted = now
        up = int(now - self.booted)
        ticks = up * os.sysconf("SC_CLK_TCK")
        # the kernel's iowait time sometimes steps back a little
        wait = ticks // 10 - (3 if up % 210 == 0 and up else 0)
        (self.proc / "stat").write_text(f"cpu  {ticks} 0 {ticks // 4} {ticks} {wait} 0 5 0\ncpu0 {ticks} 0 0 0\n")
        sectors = 3 * up
        (self.proc / "diskstats").write_text(f" 254 0 vda {up} 0 {sectors} {up} {up} 0 {sectors} {up} 0 {up} {up}\n")
        received = up * RATE % 2**32  # an interface with counters of 32 bits
        row = f"{received} {up} 0 0 0 0 0 0 {up} {up} 0 0 0 0 0 0"
        (self.proc / "net" / "dev").write_text(f"head\nhead\n  eth0: {row}\n")
        service = self.proc / "4242"
        if now == 5 * 3600:
            shutil.rmtree(service)
        elif now == 6 * 3600:
            shutil.copytree(DATA / "proc_node" / "4242", service)
            stat = service / "stat"
            stat.write_text(stat.read_text().replace(" 57790 ", f" {57790 + 5 * 3600 * 100} "))


class Refused:
    """A source whose readings are refused for an hour, with one tick in between that works."""

    name, metrics = "container", (semconv.CONTAINER_CPU_TIME,)

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def read(self) -> Report:
        hours = self._machine.now / 3600
        if 10 <= hours < 11 and self._machine.now != 10.5 * 3600:
            return Report((), (Gap("container cpu", "permission", "Permission denied"),))
        return Report((Reading(semconv.CONTAINER_CPU_TIME, self._machine.now, {semconv.CPU_MODE: "user"}),))

    def close(self) -> None:
        """Has nothing to release."""


@pytest.mark.parametrize("interval", [120, pytest.param(30, marks=pytest.mark.slow)])
def test_a_day_with_two_reboots_is_monotonic_and_quiet(tmp_path, caplog, monkeypatch, interval):
    """Case 15: up to 2,880 ticks; no counter falls, nothing raises, one log line for each thing that disappears or returns."""
    caplog.set_level("INFO", "otel_ml")
    machine = Machine(tmp_path)
    host = HostSource(
        proc=machine.proc,
        sys=machine.proc / "sys",
        parts=("cpu", "memory", "paging", "disk", "network", "pressure"),
        clock=lambda: machine.now,
    )
    process = ProcessSource(4242, proc=machine.proc, boot_clock=lambda: 1e9, clock=lambda: machine.now)
    sampler = ResourceSampler(
        interval,
        sources=[host, process, Refused(machine)],
        budget=64,
        clock=lambda: machine.now,
        cpu_clock=lambda: 0.0,
    )
    last: dict[tuple, float] = {}
    falls, sizes = [], set()
    for tick in range(DAY // interval):
        machine.live(float(tick * interval))
        points = sampler.tick()
        for name in COUNTERS & points.keys():
            for value, attributes in points[name]:
                key = (name, *sorted(attributes.items()))
                if value < last.get(key, value):
                    falls.append((machine.now, key, last[key], value))
                last[key] = value
        sizes.add(len(sampler._series))
    up = DAY - 3 * interval
    received = last["system.network.io", ("network.interface.name", "eth0"), ("network.io.direction", "receive")]
    busy = last["system.cpu.time", ("cpu.mode", "user")]
    assert falls == []
    assert _guard.counts() == {}
    assert busy == up
    # each of nine wraps and two reboots loses a tick at most
    assert (DAY - 12 * interval) * RATE <= received <= DAY * RATE
    assert max(sizes) < 100
    assert (
        last["otelml.sampler.collector.errors", ("error.type", "permission"), ("otelml.sampler.collector", "container")]
        == 3600 // interval - 1
    )
    assert (
        last["otelml.sampler.collector.errors", ("error.type", "vanished"), ("otelml.sampler.collector", "process")]
        == 3600 // interval
    )
    assert [record.getMessage() for record in caplog.records] == [
        "otel-ml: process 4242 cannot be read (vanished): its readings are absent",
        "otel-ml: process 4242 is read again",
        "otel-ml: container cpu cannot be read (permission: Permission denied): its readings are absent",
        "otel-ml: container cpu is read again",
    ]


def test_processes_that_come_and_go_while_they_are_read(tmp_path):
    """Case 15: a service that forks without end; no exception, no falling counter, no error that counts."""
    forking = "import subprocess\nwhile True: subprocess.run(['true'])"
    with subprocess.Popen([sys.executable, "-c", forking]) as service:
        sampler = ResourceSampler(
            1.0, sources=[ProcessSource(service.pid, clock=iter(range(0, 10**6, 10)).__next__)], budget=64
        )
        seen = []
        end = time.monotonic() + 1
        while time.monotonic() < end:
            points = sampler.tick()
            seen.append(sum(value for value, _ in points["otelml.process.children.cpu.time"]))
        service.kill()
    after = sampler.tick()
    assert seen == sorted(seen)
    assert seen[-1] > 0
    assert _guard.counts() == {}
    assert [name for name in after if name.startswith("process.")] == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give it up")
def test_what_another_user_may_not_read_is_refused_once_in_the_log_and_counted_every_time():
    """Case 15: /proc/1/io and its descriptors belong to root; the rest of that process is read."""
    code = """
import os
from otel_ml.resource_sampler import ProcessSource, ResourceSampler
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sampler = ResourceSampler(sources=[ProcessSource(1)], budget=64)
for _ in range(5):
    points = sampler.tick()
errors = {attributes["error.type"]: value for value, attributes in points["otelml.sampler.collector.errors"]}
print("process.cpu.time" in points, "process.disk.io" in points, errors)
"""  # anyone can read the number of descriptors from Linux 6.2 on
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
    lines = finished.stderr.splitlines()
    refused = len(lines)
    assert refused in {1, 2}
    assert finished.stdout == f"True False {{'permission': {5 * refused}}}\n", finished.stderr
    assert all(line.startswith("otel-ml: process ") and "(permission: Permission denied)" in line for line in lines)


def test_a_control_group_that_is_removed_under_the_sampler(tmp_path):
    """Case 15: a restarted container: figures are absent first, then come from the new group."""
    tree = shutil.copytree(DATA / "cgroup_v2_nested", tmp_path / "tree")
    group = tree / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope"
    now = [0.0]
    source = ContainerSource(proc=tree / "proc", root=tree, clock=lambda: now[0])
    sampler = ResourceSampler(sources=[source], budget=64)
    whole = {name for name in sampler.tick() if name.startswith("container.")}
    shutil.move(group, group.with_name("cri-def.scope"))
    gone = {name for name in sampler.tick() if name.startswith("container.")}
    membership = tree / "proc/self/cgroup"
    membership.write_text(membership.read_text().replace("cri-abc", "cri-def"))
    now[0] = 10.0
    again = {name for name in sampler.tick() if name.startswith("container.")}
    assert (len(whole), gone, again) == (7, set(), whole)
    assert _guard.counts() == {}


def test_the_command_ends_with_the_process_that_it_watches(receiver):
    """Case 15: after the process is killed the sampler sends what it has and exits with 0 and one line."""
    service = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    command = [sys.executable, "-m", "otel_ml", "sampler", "--mode", "sidecar", "--interval", "0.2"]
    command += ["--pid", str(service.pid), "--endpoint", receiver.url]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as sampler:
        assert sampler.stderr.readline().startswith("otel-ml sampler: sidecar mode, every 0.2 s")
        receiver.wait_for(lambda seen: "process.cpu.time" in seen.metrics())
        service.kill()
        service.wait()
        _, rest = sampler.communicate(timeout=60)
    service.stdin.close()
    assert sampler.returncode == 0
    assert rest.splitlines()[-1] == f"otel-ml sampler: process {service.pid} has ended, so the sampler ends too"


def test_a_service_that_was_restarted_is_found_by_its_name(tmp_path):
    """Case 15: a real process of a name of its own, killed and started again."""
    program = tmp_path / "otelml-service"
    shutil.copy(shutil.which("sleep"), program)
    now = [0.0]
    named = NamedProcess(program.name, clock=lambda: now[0])
    source = ProcessSource(named)
    pids, seen = [], []
    for _ in range(2):
        with subprocess.Popen([str(program), "60"]) as service:
            now[0] += 10
            while named() != service.pid:  # until it has its own name
                now[0] += 10
            pids.append(service.pid)
            seen.append(named())
            assert any(reading.metric.name == "process.uptime" for reading in source.read().readings)
            service.kill()
        assert source.read().readings == ()
    assert seen == pids


def test_the_thread_survives_every_kind_of_exception():
    """Case 15: whatever a source raises, the others are read and the thread survives."""
    errors = [
        RuntimeError("x"),
        MemoryError(),
        RecursionError(),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "x"),
        OSError(5, "x"),
    ]
    errors += [KeyError("x"), ZeroDivisionError(), TypeError("x"), AttributeError("x"), NotImplementedError()]

    class Hostile:
        name, metrics = "gpu", ()

        def __init__(self):
            self.left = list(errors)

        def read(self):
            if self.left:
                raise self.left.pop()
            return Report((Reading(semconv.HW_POWER, 1.0, {}),))

        def close(self):
            raise RuntimeError("x")

    class Sound:
        name, metrics, reads = "host", (), 0

        def read(self):
            self.reads += 1
            return Report((Reading(semconv.SYSTEM_CPU_LOGICAL_COUNT, 1, {}),))

        def close(self):
            """Has nothing to release."""

    hostile, sound = Hostile(), Sound()
    sampler = ResourceSampler(sources=[hostile, sound], budget=64)
    ticks = [sampler.tick() for _ in range(len(errors) + 1)]
    sampler.close()
    assert [semconv.SYSTEM_CPU_LOGICAL_COUNT.name in tick for tick in ticks] == [True] * len(ticks)
    assert [semconv.HW_POWER.name in tick for tick in ticks] == [False] * len(errors) + [True]
    assert _guard.counts() == {"resource_sampler.source": len(errors), "resource_sampler.close": 1}
