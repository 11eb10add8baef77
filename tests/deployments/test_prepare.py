"""prepare.py: what it writes, keeps, and refuses in one line."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import prepare
import pytest
from compose_file import ROOT, cloned, prepared

US = (os.getuid(), os.getgid())
ELSE = 12345
"""A user that nobody is."""


def texts(files: list[Path]) -> list[str]:
    return [file.read_text(encoding="utf-8") for file in files]


def test_secrets_are_for_the_owner_only_and_stay(tmp_path: Path) -> None:
    """Secrets have mode 0600, are long and random, and a second run keeps them."""
    files = prepare.prepare(tmp_path, *US)
    before = texts(files)
    assert texts(prepare.prepare(tmp_path, *US)) == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    password, token, service = before
    assert min(len(password), len(token.strip())) >= 32
    assert password != token.strip()
    assert f"authorization=Bearer%20{token.strip()}\n" in service


def test_services_get_the_first_token(tmp_path: Path) -> None:
    """A new first line of the token file is what the next run gives to services; the old one is still accepted."""
    _, tokens, service = prepare.prepare(tmp_path, *US)
    old = tokens.read_text(encoding="utf-8")
    tokens.write_text("new\n" + old, encoding="utf-8")
    prepare.prepare(tmp_path, *US)
    assert "authorization=Bearer%20new\n" in service.read_text(encoding="utf-8")
    assert tokens.read_text(encoding="utf-8") == "new\n" + old


def test_the_ids_are_those_of_the_last_run(tmp_path: Path) -> None:
    """`.env` says as whom containers run, and keeps what else is in it."""
    file = tmp_path / ".env"
    prepare.write_ids(file, 1, 2)
    file.write_text(file.read_text() + "OTEL_ML_RUNBOOK=https://wiki.example.org/runbook\n")
    prepare.write_ids(file, 3, 4)
    assert file.read_text() == "OTEL_ML_UID=3\nOTEL_ML_GID=4\nOTEL_ML_RUNBOOK=https://wiki.example.org/runbook\n"


@pytest.mark.parametrize("name", ["collector/otlp_tokens", "grafana/grafana_admin_password"])
def test_an_empty_secret_is_named(tmp_path: Path, name: str) -> None:
    """A file without a token or password ends the preparation with one line that says what to do."""
    prepare.prepare(tmp_path, *US)
    (tmp_path / "secrets" / name).write_text(" \n")
    with pytest.raises(prepare.PrepareError, match=f"{name} .*: delete it and run again"):
        prepare.prepare(tmp_path, *US)


def test_a_file_that_containers_cannot_read_is_named(tmp_path: Path) -> None:
    """The user of the containers is looked at: the owner, the group, or the others, as after a clone with umask 077."""
    file = tmp_path / "deploy" / "loki" / "loki.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    others = (ELSE, ELSE)
    for path, mode, who in ((file, 0o600, others), (file.parent, 0o700, others), (file, 0o044, US)):
        path.chmod(mode)
        with pytest.raises(prepare.PrepareError, match=rf"{who[0]} cannot read .*{path.name}: chmod -R a\+rX deploy"):
            prepare.check_readable(tmp_path, ["deploy"], *who)
        path.chmod(0o755)
    file.chmod(0o640)
    prepare.check_readable(tmp_path, ["deploy"], ELSE, US[1])
    file.chmod(0o400)
    prepare.check_readable(tmp_path, ["deploy"], *US)


def test_data_of_another_user_is_named(tmp_path: Path) -> None:
    """What another user prepared, a container engine made, or a backup brought back does not start a container that cannot write."""
    prepare.prepare(tmp_path, *US)
    (tmp_path / "data" / "loki" / "chunks").mkdir()
    paths = [tmp_path / "data", *(tmp_path / "data").glob("*/*")]
    prepare.check_owned(paths, US[0])
    with pytest.raises(prepare.PrepareError, match=rf"data does not belong to user {ELSE}: sudo chown -R {ELSE} "):
        prepare.check_owned(paths, ELSE)


def test_rootless_engines_run_containers_as_root_of_their_own(tmp_path: Path) -> None:
    """Root in a container of Podman or Docker without root is the user who calls (konveyor/kai#332, influxdata/influxdata-docker#716)."""
    root = cloned(tmp_path)
    done = prepared(root, "--rootless")
    assert done.returncode == 0, done.stderr
    folder = root / "deploy" / "compose"
    assert (folder / ".env").read_text() == "OTEL_ML_UID=0\nOTEL_ML_GID=0\n"
    assert {path.stat().st_uid for path in (folder / "data").iterdir()} == {US[0]}


def test_missing_secrets_of_receivers_are_named(tmp_path: Path) -> None:
    """The files that alertmanager.yml reads are listed until they are there."""
    prepare.prepare(tmp_path, *US)
    missing = prepare.missing_receivers(ROOT, tmp_path)
    assert {"watchdog_url", "platform_slack_url", "smtp_password"} <= set(missing)
    for name in missing:
        (tmp_path / "secrets" / "alertmanager" / name).touch()
    assert prepare.missing_receivers(ROOT, tmp_path) == []


def test_nothing_that_it_writes_gets_into_the_repository() -> None:
    """Git ignores all of it."""
    files = ["secrets/collector/otlp_tokens", "secrets/service.env", "data/grafana/grafana.db", ".env"]
    command = ["git", "check-ignore", *files]
    done = subprocess.run(command, cwd=ROOT / "deploy" / "compose", capture_output=True, text=True, check=True)
    assert done.stdout.split() == files
