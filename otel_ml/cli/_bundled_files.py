"""Folders of the project that the wheel carries."""

from __future__ import annotations

from pathlib import Path


def packaged(folder: str) -> Path | None:
    """A folder such as ``deploy/prometheus``, from the wheel or from the checkout; None if neither has it."""
    package = Path(__file__).resolve().parent.parent
    places = (package / f"_{folder}", package.parent / folder)
    return next((place for place in places if place.is_dir()), None)
