from __future__ import annotations

import os
import shutil
import subprocess
import sys

import psutil
import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import ContainerSource, Gap, _proc_files
from otel_ml.resource_sampler._source import to_gap

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

READ = """
import sys
from pathlib import Path
from otel_ml.resource_sampler import ContainerSource, _proc_files
root = Path(sys.argv[1])
if sys.argv[2] == "kept":
    _proc_files.keep_files_open()
report = ContainerSource(proc=root / "proc", root=root).read()
print(len(report.readings), sorted({gap.kind for gap in report.gaps}))
"""


@pytest.mark.parametrize("files", ["kept", "reopened"])
def test_pipes_in_a_control_group_are_not_waited_for(data, tmp_path, files):
    """A pipe in place of a file does not block the sampler."""
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
    refused = Gap("container oom kills", "io", "not a regular file")
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
        _proc_files.read_bytes(path)
    os.close(writer)
    assert to_gap("x", refused.value).kind == "io"
    assert psutil.Process().num_fds() <= before  # garbage of earlier tests may be closed meanwhile


def watched(data, folder):
    """A process 7 whose root is a container's tree, and the folder of that tree's group."""
    tree = shutil.copytree(data / "cgroup_v2_nested", folder / "container")
    process = folder / "proc" / "7"
    shutil.copytree(tree / "proc" / "self", process)
    shutil.rmtree(tree / "proc")
    (process / "root").symlink_to(tree)
    return ContainerSource(7, proc=folder / "proc"), tree / "sys/fs/cgroup/kubepods.slice"


@pytest.mark.parametrize("where", ["kubepods-pod1.slice", "kubepods-pod1.slice/cri-abc.scope"])
def test_no_link_on_the_way_leads_out_of_another_processs_root(data, tmp_path, where):
    """Files outside of a container's root are not read as its figures."""
    source, group = watched(data, tmp_path)
    assert {reading.metric for reading in source.read().readings} >= {semconv.CONTAINER_MEMORY_USAGE}
    source.close()
    outside = shutil.move(group / where, tmp_path / "outside")
    (group / where).symlink_to(outside)
    before = psutil.Process().num_fds()
    report = source.read()
    assert report.readings == ()
    assert {gap.kind for gap in report.gaps if gap.what != "container pressure"} == {"io"}
    assert psutil.Process().num_fds() <= before  # garbage of earlier tests may be closed meanwhile


def test_a_path_upwards_does_not_lead_out_of_another_processs_root(tmp_path):
    """Below another root, two dots would lead out of it."""
    (tmp_path / "7" / "root" / "below").mkdir(parents=True)
    (tmp_path / "7" / "secret").write_text("1")
    with pytest.raises(OSError, match="a link on the way"):
        _proc_files.read_bytes(f"{tmp_path / '7' / 'root' / 'below'}/../../secret")


MOUNT = """
set -e
mount -t tmpfs tmpfs "$1"
segment=$(printf '%0200d' 0)
for folder in from to; do
  deep="$1/$folder/$segment/$segment/$segment/$segment/$segment/$segment/$segment"
  mkdir -p "$deep"
done
mount --bind "$1/from/$segment/$segment/$segment/$segment/$segment/$segment/$segment" "$deep"
mount -t tmpfs last "$1/from"
exec "$2" -c "from otel_ml.resource_sampler._proc_files import read_text; print(read_text('/proc/self/mountinfo'), end='')"
"""


def test_a_table_is_read_to_its_end_whatever_the_length_of_its_lines(tmp_path):
    """The kernel ends a piece before a line that does not fit: a mount of long paths hides no later one."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(tmp_path), sys.executable]
    finished = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if finished.returncode:
        pytest.skip(f"no mounts of one's own here: {finished.stderr.strip()}")
    lines = finished.stdout.splitlines()
    assert max(map(len, lines)) > 2048
    assert f" {tmp_path}/from " in lines[-1]
