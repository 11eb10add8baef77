"""Instance ids: stable, distinct, private."""

from __future__ import annotations

import os
import tempfile
import uuid

import otlp_receiver
import pytest

from otel_ml import _guard
from otel_ml._process.instance import Instance
from otel_ml._process.locks import CHECK_SECONDS

fresh_guard = otlp_receiver.fresh_guard


def test_the_lowest_free_slot_gives_a_stable_id(tmp_path):
    """A recycled worker gets its predecessor's id, so that series do not multiply."""
    first = Instance("fraud", folder=str(tmp_path))
    second = Instance("fraud", folder=str(tmp_path))
    first_id = first.id
    first.release()
    third = Instance("fraud", folder=str(tmp_path))

    assert (first.slot, second.slot, third.slot) == (0, 1, 0)
    assert third.id == first_id != second.id
    assert uuid.UUID(first_id).version == 5
    second.release()
    third.release()


def test_services_do_not_share_slots(tmp_path):
    """Another service on the same host has slots of its own, and other ids."""
    one, two = Instance("a", folder=str(tmp_path)), Instance("b", folder=str(tmp_path))

    assert (one.slot, two.slot) == (0, 0)
    assert one.id != two.id
    one.release()
    two.release()


def test_a_configured_id_wins(tmp_path):
    """No slot is taken for it."""
    instance = Instance("a", configured="pod-7", folder=str(tmp_path))

    assert (instance.id, instance.slot, list(tmp_path.iterdir())) == ("pod-7", None, [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_takes_another_slot_and_the_parent_keeps_its_own(tmp_path):
    """After a fork both hold a lock; the child's is freed when it ends."""
    parent = Instance("a", folder=str(tmp_path))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        parent.reset_after_fork()
        os.write(writer, f"{parent.slot} {parent.id}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    slot, child_id = os.read(reader, 100).decode().split()
    os.close(reader)
    os.close(writer)
    after = Instance("a", folder=str(tmp_path))

    assert (parent.slot, slot, after.slot) == (0, "1", 1)
    assert child_id == after.id != parent.id
    parent.release()
    after.release()


def test_the_default_folder_is_private(tmp_path, monkeypatch):
    """Below the folder for temporary files, for this user only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    instance = Instance("a")

    folder = tmp_path / f"otel-ml-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert instance.slot == 0
    instance.release()


@pytest.mark.parametrize("trap", ["link", "open"])
def test_a_folder_that_others_control_is_not_used(tmp_path, monkeypatch, trap, caplog):
    """A planted link or a world-writable folder gives a random id and one line, never a file somewhere else."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    planted = tmp_path / "tmp" / f"otel-ml-{os.getuid()}"
    if trap == "link":
        planted.symlink_to(elsewhere)
    else:
        planted.mkdir()
        planted.chmod(0o777)

    instance = Instance("a")

    assert (instance.slot, uuid.UUID(instance.id).version) == (None, 4)
    assert list(elsewhere.iterdir()) == []
    assert "OTEL_ML_INSTANCE_DIR" in caplog.text


def test_a_planted_link_at_a_slot_is_not_followed(tmp_path):
    """A slot's file is opened without following links."""
    target = tmp_path / "target"
    first = Instance("a", folder=str(tmp_path / "slots"))
    first.release()
    lock = next((tmp_path / "slots").iterdir())
    lock.unlink()
    lock.symlink_to(target)

    instance = Instance("a", folder=str(tmp_path / "slots"))

    assert not target.exists()
    assert instance.slot == 1
    instance.release()


@pytest.mark.parametrize("where", ["file", "file/sub", "/proc/nowhere"])
def test_an_unusable_folder_is_one_line_and_a_random_id(tmp_path, where, caplog):
    """Where no lock can be had the id is random, the log names folder and setting, and nothing counts as an error."""
    (tmp_path / "file").write_text("")

    instance = Instance("a", folder=str(tmp_path / where))
    instance.reset_after_fork()

    (line,) = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / where) in line
    assert "OTEL_ML_INSTANCE_DIR" in line
    assert (instance.slot, uuid.UUID(instance.id).version, _guard.counts()) == (None, 4, {})


def test_a_held_slot_looks_used(tmp_path):
    """Once a minute its file is touched, so that a cleaner of what was not used for days leaves it."""
    now = [0.0]
    instance = Instance("a", folder=str(tmp_path), clock=lambda: now[0])
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))

    now[0] = CHECK_SECONDS - 1
    instance.keep()
    before = file.stat().st_mtime
    now[0] = CHECK_SECONDS
    instance.keep()

    assert before == 0
    assert file.stat().st_mtime > 0
    instance.release()


def test_a_slot_whose_file_was_cleaned_away_is_locked_again(tmp_path):
    """The next process still gets another slot, and the id stays."""
    now = [0.0]
    instance = Instance("a", folder=str(tmp_path / "slots"), clock=lambda: now[0])
    before = instance.id
    (file,) = (tmp_path / "slots").iterdir()
    file.unlink()
    file.parent.rmdir()

    now[0] = CHECK_SECONDS
    instance.keep()
    other = Instance("a", folder=str(tmp_path / "slots"))

    assert (instance.id, instance.slot, other.slot) == (before, 0, 1)
    instance.release()
    other.release()


def test_a_slot_that_another_took_after_a_cleaner_is_logged(tmp_path, caplog):
    """Its own descriptor still holds nothing that others see: one line says that two have one id."""
    now = [0.0]
    instance = Instance("a", folder=str(tmp_path), clock=lambda: now[0])
    (file,) = tmp_path.iterdir()
    file.unlink()
    other = Instance("a", folder=str(tmp_path))

    for minute in (1, 2):
        now[0] = CHECK_SECONDS * minute
        instance.keep()

    (line,) = [record.getMessage() for record in caplog.records]
    assert str(file) in line
    assert (other.slot, other.id, _guard.counts()) == (0, instance.id, {})
    instance.release()
    other.release()
