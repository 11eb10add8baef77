"""Writes what compose.yaml needs and the repository must not hold, and checks that the containers can use it.

    python deploy/compose/prepare.py               run it again after a change; it keeps what there is
    python deploy/compose/prepare.py --rootless    for Podman or Docker without root: root in a container is you then

secrets/grafana/grafana_admin_password   the password of Grafana's user `admin`
secrets/collector/otlp_tokens            the tokens that the Collector accepts, one a line
secrets/alertmanager/                    the secrets of your receivers, see deploy/alertmanager/README.md
secrets/service.env                      the first token as OTEL_* variables, for a service on this machine
data/                                    one folder for each container that keeps data
.env                                     the user and group that own them, as whom all containers run
Only their owner can read them. As root, it gives them to the user 10001.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).resolve().parent
CONTAINER_USER = 10001
"""Used instead of root: a container should not run as the machine's root."""
MOUNTED = ("collector", "deploy/prometheus", "deploy/alertmanager", "deploy/loki", "deploy/tempo", "deploy/grafana")
"""What compose.yaml mounts of the repository."""
DATA = ("collector", "prometheus", "alertmanager", "loki", "tempo", "grafana")
SECRETS = ("collector", "alertmanager", "grafana")


class PrepareError(Exception):
    """What has to be put right first, in one line."""


def everything_below(folder: Path) -> Iterator[Path]:
    """The folder and all that is in it."""
    yield folder
    yield from sorted(folder.rglob("*"))


def check_readable(root: Path, names: Iterable[str], user: int, group: int) -> None:
    """Refuses folders with a file that the containers' user cannot read: a clone with umask 077, or one by root."""
    for name in names:
        for path in everything_below(root / name):
            found = path.stat()
            shift = 6 if found.st_uid == user else 3 if found.st_gid == group else 0
            wanted = (stat.S_IROTH | stat.S_IXOTH if path.is_dir() else stat.S_IROTH) << shift
            if found.st_mode & wanted != wanted:
                folders = " ".join(names)
                raise PrepareError(f"user {user} cannot read {path.relative_to(root)}: chmod -R a+rX {folders}")


def check_owned(paths: Iterable[Path], user: int) -> None:
    """Refuses what belongs to somebody else: `up` before this program, another user's run, or a restored backup."""
    for path in paths:
        if path.stat().st_uid != user:
            raise PrepareError(f"{path} does not belong to user {user}: sudo chown -R {user} {path}")


def first_token(file: Path, text: str) -> str:
    """Returns the first token of the file's text."""
    tokens = text.split()
    if not tokens:
        raise PrepareError(f"{file} has no token: delete it and run again")
    return tokens[0]


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)


def kept_or_written(file: Path, text: str) -> str:
    """Returns the file's text; a missing file is written first."""
    if not file.exists():
        write_private(file, text)
    return file.read_text(encoding="utf-8")


def prepare(folder: Path, user: int, group: int) -> list[Path]:
    """Writes the missing secrets and folders, gives them to the user, and returns the paths of the secrets."""
    kept, private = folder / "data", folder / "secrets"
    folders = [kept, *(kept / name for name in DATA), private, *(private / name for name in SECRETS)]
    check_owned([each for each in folders if each.exists()] if os.getuid() else [], user)
    for each in folders:
        each.mkdir(mode=0o700, exist_ok=True)
    password = private / "grafana" / "grafana_admin_password"
    tokens = private / "collector" / "otlp_tokens"
    if not kept_or_written(password, secrets.token_urlsafe(24)).strip():
        raise PrepareError(f"{password} is empty: delete it and run again")
    token = first_token(tokens, kept_or_written(tokens, secrets.token_urlsafe(32) + "\n"))
    service = private / "service.env"
    write_private(
        service,
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318\n"
        f"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{token}\n",
    )
    if os.getuid() == 0:
        for each in {*folders, *everything_below(private)}:
            os.chown(each, user, group)
    # What containers wrote lies deeper too, but there may be a million files.
    check_owned([*everything_below(private), *kept.glob("*/*")], user)
    return [password, tokens, service]


def write_ids(file: Path, user: int, group: int) -> None:
    """Writes as whom the containers run, and keeps the other lines of the file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    others = [line for line in lines if not line.startswith(("OTEL_ML_UID=", "OTEL_ML_GID="))]
    write_private(file, "\n".join([f"OTEL_ML_UID={user}", f"OTEL_ML_GID={group}", *others]) + "\n")


def missing_receivers(root: Path, folder: Path) -> list[str]:
    """The names of the secrets that alertmanager.yml reads and that are not there."""
    text = (root / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    names = re.findall(r"/etc/alertmanager/secrets/([\w.-]+)", text)
    return [name for name in dict.fromkeys(names) if not (folder / "secrets" / "alertmanager" / name).exists()]


def run(root: Path, folder: Path, *, rootless: bool) -> list[Path]:
    """Prepares the folder for the user who calls, or for another one than root."""
    user, group = os.getuid(), os.getgid()
    if user == 0 and not rootless:
        user = group = CONTAINER_USER
    check_readable(root, MOUNTED, user, group)
    files = prepare(folder, user, group)
    owner = folder / ".env"
    write_ids(owner, *((0, 0) if rootless else (user, group)))
    return [*files, owner]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rootless", action="store_true", help="the container engine runs as you and not as root")
    rootless = parser.parse_args(arguments).rootless
    root = HERE.parent.parent
    try:
        files = run(root, HERE, rootless=rootless)
        missing = missing_receivers(root, HERE)
    except (PrepareError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(file)
    if missing:
        print(f"alerts do not reach receivers whose secrets are missing in secrets/alertmanager: {', '.join(missing)}")
    print("next: docker compose -f deploy/compose/compose.yaml up -d --wait, then http://127.0.0.1:3000 as `admin`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
