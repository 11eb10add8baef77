"""compose.yaml as a container engine would get it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def substitute(text: str, variables: dict[str, str]) -> str:
    """Replaces `${NAME}`, `${NAME:-default}` and `${NAME:?message}` as the compose specification says."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if variables.get(name):
            return variables[name]
        assert kind == "-", f"{name} is not set"
        return rest or ""

    return VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Mount:
    """A folder of the host in a container."""

    source: Path
    target: str
    options: frozenset[str]


@dataclass(frozen=True)
class ComposeFile:
    """A compose file and the `.env` beside it."""

    path: Path

    @cached_property
    def loaded(self) -> dict[str, Any]:
        """All of it, with its variables."""
        lines = self.path.with_name(".env").read_text(encoding="utf-8").splitlines()
        text = self.path.read_text(encoding="utf-8")
        kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        loaded: dict[str, Any] = yaml.safe_load(substitute(kept, dict(line.split("=", 1) for line in lines)))
        return loaded

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        services: dict[str, dict[str, Any]] = self.loaded["services"]
        return services

    def mounts(self, service: str) -> list[Mount]:
        """The mounts of a service; relative ones begin at the folder of the file."""
        parts = [volume.split(":") for volume in self.services[service]["volumes"]]
        return [
            Mount((self.path.parent / source).resolve(), target, frozenset(",".join(options).split(",")))
            for source, target, *options in parts
        ]

    def on_host(self, service: str, text: str) -> str:
        """Replaces each path in the container by that on the host."""
        for mount in sorted(self.mounts(service), key=lambda mount: -len(mount.target)):
            text = re.sub(rf"(?<![\w/:.]){re.escape(mount.target)}(?![\w-])", str(mount.source), text)
        return text


def cloned(folder: Path) -> Path:
    """The files of the repository that compose.yaml needs, as after a clone; nothing that git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "collector", "deploy"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def prepared(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs prepare.py in a clone."""
    command = [sys.executable, str(folder / "deploy" / "compose" / "prepare.py"), *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL")}
    return subprocess.run(command, env=environment, capture_output=True, text=True)
