"""The stand-in for NVIDIA's library, and trees of /proc and /sys that a test writes itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_ml import _guard

sys.path.insert(0, str(Path(__file__).parents[2] / "data" / "nvml"))
from nvml_fixtures import driver, gpus, nvml, nvml_library  # noqa: E402, F401 - fixtures


@pytest.fixture(autouse=True)
def fresh_guard() -> Iterator[None]:
    _guard.reset()
    yield
    _guard.reset()


class Tree:
    """A machine's /proc and /sys below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    def write(self, path: str, text: str = "") -> None:
        """Writes one file, with its folders."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def interface(self, name: str, *entries: str, kind: int = 1, link: int = 0) -> None:
        """An interface of /sys with these entries; a link to another index makes it one end of a pair."""
        folder = f"sys/class/net/{name}"
        index = len(list((self.root / "sys/class/net").glob("*"))) + 1
        for entry, text in (("type", str(kind)), ("ifindex", str(index)), ("iflink", str(link or index))):
            self.write(f"{folder}/{entry}", f"{text}\n")
        for entry in entries:
            self.write(f"{folder}/{entry}")

    def disk(self, name: str, *entries: str) -> None:
        """A block device of /sys with these entries."""
        for entry in ("queue/rotational", *entries):
            self.write(f"sys/block/{name}/{entry}")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty machine."""
    return Tree(tmp_path)
