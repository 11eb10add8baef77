"""Writes what compose.yaml needs and the repository must not hold: a password, a token, folders, the owner's ids.

    python deploy/compose/prepare.py          run it once; a second run changes nothing

secrets/grafana_admin_password   the password of Grafana's user `admin`
secrets/otlp_tokens              the tokens that the Collector accepts, one a line
secrets/service.env              the same token as OTEL_* variables, for a service on this machine
secrets/alertmanager/            empty: put the secrets of your receivers there, see deploy/alertmanager/README.md
data/                            the Collector's queue, Alertmanager's silences and Grafana's database
.env                             the user and group that own them
Every file is readable by its owner only.
"""

from __future__ import annotations

import argparse
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).resolve().parent
CONTAINER_USER = 10001
"""Used instead of root: a container should not run as the machine's root."""
MOUNTED = ("deploy/prometheus", "deploy/loki", "deploy/tempo")
"""Read by users of the images' own, so by everybody."""
MOUNTED_BY_OWNER = ("collector", "deploy/alertmanager", "deploy/grafana")


class PrepareError(Exception):
    """What has to be put right first, in one line."""


def check_readable(root: Path, names: Iterable[str]) -> None:
    """Refuses folders with a file that other users cannot read: a clone with umask 077 has them."""
    for name in names:
        for path in (root / name, *(root / name).rglob("*")):
            wanted = stat.S_IROTH | stat.S_IXOTH if path.is_dir() else stat.S_IROTH
            if path.stat().st_mode & wanted != wanted:
                folders = " ".join(names)
                raise PrepareError(f"the containers cannot read {path.relative_to(root)}: chmod -R o+rX {folders}")


def first_token(file: Path, text: str) -> str:
    """Returns the first token of the file's text."""
    tokens = text.split()
    if not tokens:
        raise PrepareError(f"{file} has no token: delete it and run again")
    return tokens[0]


def write_once(file: Path, text: str) -> str:
    """Returns the file's text; a missing file is written first, readable by its owner only."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text(encoding="utf-8")
    with os.fdopen(descriptor, "w", encoding="utf-8") as created:
        created.write(text)
    return text


def prepare(folder: Path, user: int, group: int) -> list[Path]:
    """Writes the missing files of the folder and returns the paths of all."""
    inner = [folder / "secrets", folder / "secrets" / "alertmanager", folder / "data"]
    inner += [folder / "data" / name for name in ("collector", "grafana", "alertmanager")]
    for each in inner:
        each.mkdir(mode=0o700, exist_ok=True)
    password = folder / "secrets" / "grafana_admin_password"
    tokens = folder / "secrets" / "otlp_tokens"
    service = folder / "secrets" / "service.env"
    owner = folder / ".env"
    write_once(password, secrets.token_urlsafe(24))
    token = first_token(tokens, write_once(tokens, secrets.token_urlsafe(32) + "\n"))
    write_once(
        service,
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318\n"
        f"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{token}\n",
    )
    if user == 0:
        user = group = CONTAINER_USER
        for each in (*inner, password, tokens):
            os.chown(each, user, group)
    write_once(owner, f"OTEL_ML_UID={user}\nOTEL_ML_GID={group}\n")
    return [password, tokens, service, owner]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    user = os.getuid()
    try:
        check_readable(HERE.parent.parent, MOUNTED if user else (*MOUNTED, *MOUNTED_BY_OWNER))
        files = prepare(HERE, user, os.getgid())
    except (PrepareError, OSError) as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(file)
    print("alerts reach nobody until secrets/alertmanager has the files that alertmanager.yml names")
    print("next: docker compose -f deploy/compose/compose.yaml up -d, then http://127.0.0.1:3000 as `admin`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
