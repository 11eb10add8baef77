"""Real control groups of this machine, v1 and v2, made for the test; skipped where it may not make any."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from otel_ml.resource_sampler import ContainerSource

ROOT = Path("/sys/fs/cgroup")
BUSY = "import sys\nsys.stdin.readline()\nprint('on', flush=True)\nwhile True: pass"
QUOTA, PERIOD, MEMORY = 20_000, 100_000, 256 * 2**20


@contextmanager
def group(folder):
    """A group of its own, removed at the end."""
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield folder
    finally:
        folder.rmdir()


def write(path, text):
    try:
        path.write_text(text)
    except OSError as error:
        pytest.skip(f"{path.name} cannot be set here: {error}")


@pytest.fixture
def busy():
    """A process that uses a whole CPU as soon as it gets a line."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def start(process, groups):
    for folder in groups:
        write(folder / "cgroup.procs", str(process.pid))
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"on\n"


def leave(process):
    process.kill()
    process.wait()


def until(source, name):
    """Readings by metric, as soon as that one is above 0."""
    end = time.monotonic() + 60
    while True:
        assert time.monotonic() < end, f"{name} stays 0"
        values = {}
        for reading in source.read().readings:
            values.setdefault(reading.metric.name, []).append(reading.value)
        if any(values.get(name, ())):
            return values


@pytest.mark.skipif(not (ROOT / "cpu" / "cpu.cfs_quota_us").exists(), reason="no cgroup v1 with a cpu controller here")
def test_a_quota_and_a_limit_of_version_1_are_seen_and_felt(busy):
    """The limit of the parent binds, throttling counts, a changed limit is seen at the next reading."""
    name = f"otel-ml-test-{os.getpid()}"
    with ExitStack() as stack:
        folders = {kind: stack.enter_context(group(ROOT / kind / name)) for kind in ("cpu", "cpuacct", "memory")}
        inner = stack.enter_context(group(folders["cpu"] / "inner"))
        write(folders["cpu"] / "cpu.cfs_quota_us", str(QUOTA))
        write(folders["memory"] / "memory.limit_in_bytes", str(MEMORY))
        start(busy, [inner, folders["cpuacct"], folders["memory"]])
        source = ContainerSource(busy.pid)
        values = until(source, "otelml.container.cpu.throttled.time")
        write(folders["cpu"] / "cpu.cfs_quota_us", str(2 * QUOTA))
        resized = source.cpu_limit()
        spent = until(source, "container.cpu.time")["container.cpu.time"]
        leave(busy)
    assert values["otelml.container.cpu.limit"] == [QUOTA / PERIOD]
    assert values["otelml.container.cpu.throttled.time"][0] > 0
    assert values["otelml.container.memory.limit"] == [MEMORY]
    assert 0 <= values["container.memory.rss"][0] < MEMORY
    assert values["container.memory.available"][0] == MEMORY - values["container.memory.working_set"][0]
    assert resized == 2 * QUOTA / PERIOD
    assert sum(spent) > 0


def unified():
    return next((folder for folder in (ROOT, ROOT / "unified") if (folder / "cgroup.controllers").exists()), None)


@pytest.mark.skipif(unified() is None, reason="no cgroup v2 here")
def test_a_group_of_version_2_has_pressure_and_time_of_its_own(busy):
    """A v2 group has pressure and CPU time, even in a hybrid, where v2 has no controllers."""
    with group(unified() / f"otel-ml-test-{os.getpid()}") as folder:
        if not (folder / "cpu.pressure").exists():
            pytest.skip("this kernel gives no pressure of groups")
        start(busy, [folder])
        source = ContainerSource(busy.pid)
        report = source.read()
        leave(busy)
    scopes = {r.attributes["otelml.pressure.scope"] for r in report.readings if "pressure" in r.metric.name}
    assert scopes == {"container"}
