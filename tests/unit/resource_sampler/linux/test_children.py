from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from otel_ml.resource_sampler import ProcessSource
from otel_ml.resource_sampler.linux._children import FULL_SECONDS, MAX_CHILDREN, SEARCH_SECONDS

TICK = 1 / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(data, tmp_path):
    return shutil.copytree(data / "proc_node", tmp_path / "proc")


class Watched:
    """The recorded process 4242 with children 4300 and 4301, under a clock of the test."""

    def __init__(self, proc):
        self.proc, self.now = proc, 0.0
        self.source = ProcessSource(4242, proc=proc, boot_clock=lambda: 1e6, clock=lambda: self.now)

    def read(self):
        rows = {}
        for reading in self.source.read().readings:
            if reading.metric.name.startswith("otelml.process.children."):
                name = reading.metric.name.rpartition("children.")[2]
                rows[(name, *reading.attributes.values())] = reading.value
        return rows

    def add(self, pid, parent, *, user=0, start=59000):
        folder = self.proc / str(pid)
        folder.mkdir()
        columns = ["S", str(parent), *["0"] * 46]
        columns[14 - 3], columns[22 - 3], columns[24 - 3] = str(user), str(start), "10"
        (folder / "stat").write_text(f"{pid} (child) {' '.join(columns)}\n")

    def give_to(self, pid, user, system):
        """As if it had waited for ended children."""
        stat = self.proc / str(pid) / "stat"
        before = stat.read_text()
        columns = before[before.rindex(")") + 2 :].split()
        columns[16 - 3], columns[17 - 3] = str(user), str(system)
        stat.write_text(before[: before.rindex(")") + 2] + " ".join(columns) + "\n")


def test_a_new_child_is_found_at_the_next_search(proc):
    """Between two searches only known children are read."""
    watched = Watched(proc)
    first = watched.read()
    watched.add(4500, 4301, user=100)
    watched.now = SEARCH_SECONDS / 2
    second = watched.read()
    watched.now = SEARCH_SECONDS
    third = watched.read()
    assert [rows["count",] for rows in (first, second, third)] == [2, 2, 3]
    assert third["cpu.time", "user"] == pytest.approx(first["cpu.time", "user"] + 100 * TICK)


def test_the_time_of_an_ended_child_stays(proc):
    """The time of an ended child is part of the ancestor that waited for it."""
    watched = Watched(proc)
    before = watched.read()
    shutil.rmtree(proc / "4301")
    watched.give_to(4300, 20 + 50, 10 + 5)
    after = watched.read()
    assert (before["count",], after["count",]) == (2, 1)
    assert after["cpu.time", "user"] == pytest.approx(before["cpu.time", "user"])
    assert after["cpu.time", "system"] == pytest.approx(before["cpu.time", "system"])


def test_time_of_an_orphan_stays_counted(proc):
    """The counter does not fall, and nothing is counted twice when other children catch up."""
    watched = Watched(proc)
    before = watched.read()
    shutil.rmtree(proc / "4300")
    shutil.rmtree(proc / "4301")
    lost = watched.read()
    assert (lost["count",], lost["cpu.time", "user"]) == (0, before["cpu.time", "user"])
    assert lost["memory.usage",] == 0
    watched.give_to(4242, 5000, 0)
    assert watched.read()["cpu.time", "user"] == pytest.approx(5000 * TICK)


def test_a_reused_id_is_not_taken_for_the_child(proc):
    """Another process of the same id does not count until a search finds that it is a descendant."""
    watched = Watched(proc)
    watched.read()
    shutil.rmtree(proc / "4301")
    watched.add(4301, 1, user=10**6, start=70000)
    assert watched.read()["count",] == 1
    watched.now = SEARCH_SECONDS
    assert watched.read()["count",] == 1


def test_a_child_with_an_id_that_another_process_had_is_found_in_a_minute(proc):
    """A search looks at new ids, and at all ids once a minute."""
    watched = Watched(proc)
    watched.read()
    shutil.rmtree(proc / "4400")
    watched.add(4400, 4242)
    watched.now = FULL_SECONDS
    assert watched.read()["count",] == 3


def test_descendants_are_bounded_and_the_rest_is_named(proc):
    """A fork bomb does not slow the sampler down, and a ring of parents does not block the search."""
    watched = Watched(proc)
    for number in range(MAX_CHILDREN + 10):
        watched.add(10_000 + number, 4242)
    watched.add(99_998, 99_999)
    watched.add(99_999, 99_998)
    report = watched.source.read()
    assert [gap.detail for gap in report.gaps if gap.kind == "capped"] == ["12 of 268 descendants left out"]


def test_real_children_are_counted(tmp_path):
    """A live process with a child and a grandchild has both counted."""
    grandchild = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()']); print('up', flush=True); p.wait()"
    child = subprocess.Popen(
        [sys.executable, "-c", grandchild], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "up\n"
        rows = {r.metric.name: r.value for r in ProcessSource().read().readings}
        assert rows["otelml.process.children.count"] >= 2
        assert rows["otelml.process.children.memory.usage"] > 1_000_000
    finally:
        child.communicate("\n")
