from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from otel_ml.resource_sampler import HostSource, ProcessSource, _source


@pytest.fixture
def kept(monkeypatch):
    """As in a process that does nothing but sample."""
    descriptors: dict[str, int] = {}
    monkeypatch.setattr(_source, "_kept", descriptors)
    yield descriptors
    for descriptor in descriptors.values():
        os.close(descriptor)


def test_a_file_that_stays_open_is_read_anew_every_time(kept, tmp_path):
    """What stands in it now, not what stood in it when it was opened."""
    path = tmp_path / "stat"
    path.write_text("cpu  1 0 1 1\ncpu0 1\n")
    source = HostSource(proc=tmp_path, parts=("cpu",))
    first = source.read().readings[0].value
    path.write_text("cpu  300 0 1 1\ncpu0 1\n")
    second = source.read().readings[0].value
    assert (first, second) == (pytest.approx(0.01), pytest.approx(3.0))
    assert list(kept) == [str(path)]


def test_the_files_of_an_ended_process_do_not_go_on_telling_its_last_figures(kept):
    """The kernel answers that there is no such process, and so do we."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        source = ProcessSource(child.pid)
        assert source.read().readings
        child.communicate(b"\n")
    report = source.read()
    assert (report.readings, [gap.kind for gap in report.gaps]) == ((), ["vanished"])


def test_only_so_many_files_stay_open(kept, tmp_path, monkeypatch):
    """Further ones are opened anew; a file of a page and more is read to its end either way."""
    monkeypatch.setattr(_source, "_MAX_KEPT", 2)
    contents = [b"a" * 10, b"b" * 100_000, b"c" * 5_000]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    seen = [_source.read_bytes(str(tmp_path / str(number))) for number in (0, 1, 2, 0, 1, 2)]
    assert seen == contents * 2
    assert len(kept) == 2


def test_nothing_stays_open_in_a_service(tmp_path):
    """A descriptor that a service closed without knowing it may be another file by then."""
    before = psutil.Process().num_fds()
    for _ in range(3):
        HostSource().read()
        ProcessSource().read()
    assert psutil.Process().num_fds() == before
