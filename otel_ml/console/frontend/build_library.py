"""Builds the libraries of the console's pages: fetched by npm as the lock file says, bundled into one file.

Runs in `make`, and as a build hook of the wheel. Without npm nothing is built; pages then show
tables in place of charts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "web" / "static"
LIBRARY = STATIC / "library.js"
LICENSES = STATIC / "library.LICENSE.txt"
_INPUTS = ("package.json", "package-lock.json", "library.js")
_NOTICES = (
    "echarts/LICENSE",
    "echarts/NOTICE",
    "echarts/licenses/LICENSE-d3",
    "zrender/LICENSE",
    "tslib/LICENSE.txt",
    "idiomorph/LICENSE",
)


class BuildError(Exception):
    """The libraries cannot be built; the message is one line with the remedy."""


def is_current() -> bool:
    """Whether the bundle is at least as new as what it is made of."""
    outputs = [path.stat().st_mtime for path in (LIBRARY, LICENSES) if path.is_file()]
    return len(outputs) == 2 and min(outputs) >= max((HERE / name).stat().st_mtime for name in _INPUTS)


def build() -> None:
    """Fetches and bundles the libraries, unless that is done already.

    Raises:
        BuildError: npm is missing or failed.
    """
    if is_current():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("the console's charts need npm (Node.js 18 or newer); without it pages show tables only")
    for arguments in (
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        ["run", "--silent", "build"],
    ):
        done = subprocess.run(
            [npm, *arguments], check=False, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            last = done.stdout.strip().splitlines()[-1:] or ["no output"]
            raise BuildError(f"the console's charts were not built: npm {arguments[0]}: {last[0]}")
    modules = HERE / "node_modules"
    texts = [f"{name}\n\n{(modules / name).read_text(encoding='utf-8').strip()}\n" for name in _NOTICES]
    LICENSES.write_text(f"\n{'-' * 78}\n\n".join(texts), encoding="utf-8")
    LIBRARY.touch()


if __name__ == "__main__":
    try:
        build()
    except BuildError as error:
        sys.exit(f"== {error}")
