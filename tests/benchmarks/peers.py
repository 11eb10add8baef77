"""The environment of peers whose pins conflict with ours: created once, outside the tree, named after its pins."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import build  # noqa: E402  (found by the line above)

PINS = ("whylogs==1.6.4", "evidently==0.7.23", "numpy==1.26.4", "pandas==2.3.3")
"""The newest of both, which still need numpy 1 and pandas 2."""
QUIET = {"WHYLOGS_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
"""Switches off their usage reports."""
MINUTES = 5


class PeersError(Exception):
    """The environment cannot be created, with one line that says why."""


def folder() -> Path:
    """Returns its folder, beside the servers that `deploy/local/build.py` builds."""
    pins = hashlib.sha256("\0".join((*PINS, sys.version, sys.prefix)).encode()).hexdigest()[:12]
    return build.cache_directory() / f"bench-peers-{pins}"


def python() -> Path:
    """Returns its interpreter; creates the environment if needed.

    Raises:
        PeersError: An installer failed or took too long.
    """
    target = folder()
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"bench: installing {', '.join(PINS)} into a cache", file=sys.stderr, flush=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
        try:
            _uv("venv", "--clear", "--python", sys.executable, str(partial))
            _uv("pip", "install", "--python", str(partial / "bin" / "python"), *PINS)
            partial.rename(target)
        except OSError as error:
            if not target.exists():  # unless another run was faster
                raise PeersError(str(error)) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target / "bin" / "python"


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
    except subprocess.TimeoutExpired:
        raise PeersError(f"not installed within {MINUTES} minutes") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise PeersError(lines[0] if lines else f"uv ended with {done.returncode}")


def collector_is_built() -> bool:
    """True if the Collector is in the cache; building it takes minutes and is left to `make test`."""
    return bool(build.TOOLS["collector"].path.exists())
