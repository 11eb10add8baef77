from __future__ import annotations

import os
import shutil
import subprocess
import sys

import psutil
import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import ContainerSource, _source

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

READ = """
import sys
from pathlib import Path
from otel_ml.resource_sampler import ContainerSource, _source
root = Path(sys.argv[1])
if sys.argv[2] == "kept":
    _source.keep_files_open()
report = ContainerSource(proc=root / "proc", root=root).read()
print(len(report.readings), sorted({gap.kind for gap in report.gaps}))
"""


@pytest.mark.parametrize("files", ["kept", "opened anew"])
def test_pipes_in_a_control_group_are_not_waited_for(data, tmp_path, files):
    """Whoever can write into a watched container's tree could else stop the sampler for good."""
    tree = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    for path in (tree / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope").iterdir():
        if path.is_file() and path.name != "cgroup.type":
            path.unlink()
            os.mkfifo(path)
    finished = subprocess.run(
        [sys.executable, "-c", READ, str(tree), files], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.stdout, finished.stderr) == ("0 ['io']\n", "")


def test_one_pipe_costs_only_its_own_readings(data, tmp_path):
    """The rest of the group is read as before."""
    tree = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    source = ContainerSource(proc=tree / "proc", root=tree)
    whole = source.read()
    path = tree / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope/memory.events"
    path.unlink()
    os.mkfifo(path)
    other_end = os.open(path, os.O_RDWR)
    report = source.read()
    os.close(other_end)
    kills = tuple(reading for reading in whole.readings if reading.metric is semconv.CONTAINER_MEMORY_OOM_KILLS)
    left = tuple(reading for reading in whole.readings if reading not in kills)
    refused = _source.Gap("container oom kills", "io", "not a regular file")
    assert (len(kills), report.readings, report.gaps) == (1, left, (refused, *whole.gaps))


@pytest.mark.parametrize("strange", ["pipe", "link", "folder", "device"])
def test_only_a_regular_file_is_read_and_nothing_stays_open(tmp_path, strange):
    """A link below another process's root would lead into the sampler's own."""
    (tmp_path / "secret").write_text("1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder").mkdir()
    path = "/dev/zero" if strange == "device" else str(tmp_path / strange)
    before = psutil.Process().num_fds()
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    with pytest.raises(OSError, match="not a regular file|Too many levels of symbolic links") as refused:
        _source.read_bytes(path)
    os.close(writer)
    assert _source.gap_of("x", refused.value).kind == "io"
    assert psutil.Process().num_fds() == before
