"""The libraries of the console's pages: pinned without addresses, free, and part of what is built."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = json.loads((ROOT / "otel_ml" / "console" / "frontend" / "package-lock.json").read_text(encoding="utf-8"))
FREE = {"Apache-2.0", "MIT", "BSD-3-Clause", "0BSD"}


def test_the_lock_file_names_no_registry():
    """Each package is pinned by its digest and fetched from wherever the machine gets its packages."""
    packages = {path: each for path, each in LOCK["packages"].items() if path}
    assert packages
    assert [path for path, each in packages.items() if "resolved" in each or "integrity" not in each] == []


def test_what_is_bundled_is_free_and_its_licenses_are_shipped():
    """Packages that end up in the bundle have a permissive license, whose text the build collects."""
    bundled = {
        path.rpartition("node_modules/")[2]: each["license"]
        for path, each in LOCK["packages"].items()
        if path and not each.get("dev")
    }
    assert set(bundled.values()) <= FREE
    script = (ROOT / "otel_ml" / "console" / "frontend" / "build_library.py").read_text(encoding="utf-8")
    assert [name for name in bundled if f'"{name}/LICENSE' not in script] == []


def test_the_wheel_has_the_bundle():
    """The bundle is ignored by git; the build makes it and takes it all the same."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    hook = re.search(r'\[tool.hatch.build.hooks.custom\]\npath = "(.*)"', text)[1]
    assert (ROOT / hook).is_file()
    assert re.search(r'\[tool.hatch.build\]\nartifacts = \["otel_ml/console/web/static/library\.\*"\]', text)
