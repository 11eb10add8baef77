"""File locks, and the folder for temporary files that other users can write to."""

import errno
import os
import subprocess
import sys
import tempfile

import pytest

from otel_ml._process import locks

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX locks"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

BOTH_KINDS = pytest.mark.parametrize("per_process", [False, True])


def locked_elsewhere(path, *, per_process):
    """Whether another process is refused the lock."""
    code = (
        "import sys; from pathlib import Path; from otel_ml._process import locks\n"
        f"print(locks.lock(Path(sys.argv[1]), per_process={per_process}) is None)"
    )
    return subprocess.check_output([sys.executable, "-c", code, str(path)], text=True).strip() == "True"


def in_child(path, held, *, per_process):
    """Whether a forked child that releases the parent's lock can have one of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        held.release()
        os.write(writing, repr(locks.lock(path, per_process=per_process) is None).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        refused = answer.read()
    os.waitpid(pid, 0)
    return refused == "False"


@BOTH_KINDS
def test_one_process_holds_a_lock_until_it_releases_it(tmp_path, per_process):
    """Another process is refused meanwhile; the file stays and only its owner can read it."""
    path = tmp_path / "x"
    held = locks.lock(path, per_process=per_process)
    before = locked_elsewhere(path, per_process=per_process)
    held.release()
    assert (before, locked_elsewhere(path, per_process=per_process)) == (True, False)
    assert path.stat().st_mode & 0o777 == 0o600


@BOTH_KINDS
def test_a_forked_child_neither_has_nor_frees_the_parents_lock(tmp_path, per_process):
    """A release in the child closes the child's copy of the descriptor only."""
    path = tmp_path / "x"
    held = locks.lock(path, per_process=per_process)
    assert not in_child(path, held, per_process=per_process)
    assert locked_elsewhere(path, per_process=per_process)
    held.release()


@BOTH_KINDS
def test_a_lock_whose_file_was_removed_is_of_no_use(tmp_path, per_process):
    """Others see the new file; while the file is there, its time is updated."""
    path = tmp_path / "folder" / "x"
    path.parent.mkdir()
    held = locks.lock(path, per_process=per_process)
    os.utime(path, (1.0, 1.0))
    assert held.refresh()
    assert path.stat().st_mtime > 1.0
    path.unlink()
    path.parent.rmdir()
    assert not held.refresh()
    path.parent.write_text("a file in the folder's place")
    assert not held.refresh()
    held.release()


def test_removing_leaves_the_file_of_another_holder(tmp_path):
    """A cleaner took ours, and another process has made and locked a new one."""
    path = tmp_path / "x"
    old = locks.lock(path)
    path.unlink()
    new = locks.lock(path)
    old.remove()
    assert path.exists()
    new.remove()
    assert not path.exists()


def test_a_link_is_never_followed(tmp_path):
    """A user who can write to the folder cannot make us open, create or touch a file elsewhere."""
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    for create in (True, False):
        with pytest.raises(OSError) as refused:
            locks.lock(tmp_path / "link", create=create)
        assert refused.value.errno in {errno.ELOOP, errno.EMLINK}
    assert not target.exists()


def test_a_missing_file_is_made_only_when_asked_for(tmp_path):
    """Looking for locks that were left behind must not leave any."""
    with pytest.raises(FileNotFoundError):
        locks.lock(tmp_path / "x", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_can_be_waited_for(tmp_path):
    """`wait` returns the lock once the other process has released it."""
    path = tmp_path / "x"
    code = (
        "import sys, time; from pathlib import Path; from otel_ml._process import locks\n"
        "held = locks.lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.readline(); time.sleep(0.3)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        assert locks.lock(path) is None
        other.stdin.close()
        held = locks.lock(path, wait=True)
    held.release()


def test_a_lock_that_was_waited_for_is_the_one_that_others_see(tmp_path):
    """If its holder removed the file meanwhile, a new file is made and locked."""
    path = tmp_path / "x"
    code = (
        "import sys, time; from pathlib import Path; from otel_ml._process import locks\n"
        "held = locks.lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(0.3); held.remove()"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        held = locks.lock(path, wait=True)
    assert held.is_in_place()
    assert locked_elsewhere(path, per_process=False)
    held.release()


@BOTH_KINDS
def test_only_a_lock_of_the_process_ends_with_it(tmp_path, per_process):
    """A forked child that keeps its copy of the descriptor holds a shared lock, and never a lock of the process."""
    path = tmp_path / "x"
    code = (
        "import os, sys; from pathlib import Path; from otel_ml._process import locks\n"
        f"held = locks.lock(Path(sys.argv[1]), per_process={per_process})\n"
        "if os.fork() == 0: sys.stdin.read()\n"
        "os._exit(0)"
    )
    reading, writing = os.pipe()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], stdin=reading, check=True)
    held = locks.lock(path, per_process=per_process)
    os.close(writing)
    os.close(reading)
    assert (held is None) is not per_process
    if held is not None:
        held.release()


def test_the_default_folder_is_for_this_user_only(tmp_path, monkeypatch):
    """It is below the folder for temporary files, and a second call finds it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"otel-ml-{os.getuid()}"
    assert [locks.private_folder(None), locks.private_folder("")] == [folder, folder]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["link", "group", "world", "owner"])
def test_a_folder_that_others_control_is_refused(tmp_path, monkeypatch, trap):
    """A link, a folder that others can write to, or one of another user: any of them may hold planted files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"otel-ml-{os.getuid()}"
    if trap == "link":
        (tmp_path / "elsewhere").mkdir()
        planted.symlink_to(tmp_path / "elsewhere")
    else:
        planted.mkdir(mode=0o700)
        if trap == "owner":
            other = os.getuid() + 1
            planted.rename(tmp_path / f"otel-ml-{other}")
            monkeypatch.setattr(os, "getuid", lambda: other)
        else:
            planted.chmod(0o770 if trap == "group" else 0o702)
    with pytest.raises(PermissionError, match="not a private folder of this user"):
        locks.private_folder(None)


def test_a_chosen_folder_is_made_with_its_parents_and_taken_as_it_is(tmp_path):
    """An operator may share it between users on purpose."""
    folder = tmp_path / "a" / "b"
    assert locks.private_folder(str(folder)) == folder
    folder.chmod(0o777)
    assert locks.private_folder(str(folder)) == folder
