"""Which extras of the package are installed, by its own metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final

_PACKAGE: Final = "otel-ml"
_EVERYTHING: Final = "all"
"""The extra that is all others."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA: Final = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")


def extras() -> dict[str, bool]:
    """Every extra and whether all that it requires is there; empty where otel-ml itself has no metadata."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        return {}
    return installed(package.metadata.get_all("Provides-Extra") or (), package.requires or ())


def installed(names: Sequence[str], requires: Sequence[str]) -> dict[str, bool]:
    """Whether the distributions of each extra are there; versions are the installer's business.

    Args:
        names: The extras.
        requires: The requirements of the package, with their markers.
    """
    parts: dict[str, list[str]] = {name: [] for name in names if name != _EVERYTHING}
    for requirement in requires:
        what, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if what and extra and extra[1] in parts:
            parts[extra[1]].append(what[0])
    return {name: all(_is_installed(part) for part in needed) for name, needed in parts.items()}


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
