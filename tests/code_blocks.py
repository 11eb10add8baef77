"""The code of a page: tests run what users copy."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def code_blocks(page: str, language: str = "python") -> list[str]:
    """Returns the code of a page of the repository, in its order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def write_files(page: str, folder: Path) -> list[str]:
    """Writes each block that begins with ``# name.py`` to that file; returns the names."""
    names = []
    for block in code_blocks(page):
        name = re.match(r"# ([\w.]+\.py)\n", block)
        if name is not None:
            (folder / name[1]).write_text(block, encoding="utf-8")
            names.append(name[1])
    return names
