"""The extras of the package that are installed, by its own metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final

_PACKAGE: Final = "otel-ml"
_EVERYTHING: Final = "all"
"""The extra that includes all others."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA: Final = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")


def extras() -> dict[str, bool]:
    """Each extra and whether all its requirements are installed; empty if otel-ml itself has no metadata."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError:
        return {}
    return installed(package.metadata.get_all("Provides-Extra") or (), package.requires or ())


def installed(names: Sequence[str], requires: Sequence[str]) -> dict[str, bool]:
    """Whether the distributions of each extra are installed, in any version.

    Args:
        names: The extras.
        requires: The requirements of the package, with their markers.
    """
    needed_by_extra: dict[str, list[str]] = {name: [] for name in names if name != _EVERYTHING}
    for requirement in requires:
        package, extra = _NAME.match(requirement), _EXTRA.search(requirement)
        if package and extra and extra[1] in needed_by_extra:
            needed_by_extra[extra[1]].append(package[0])
    return {name: all(_is_installed(package) for package in needed) for name, needed in needed_by_extra.items()}


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
