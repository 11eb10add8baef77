"""Opens data files that may be compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from otel_ml.quality.files._errors import load_pyarrow

_ENDINGS: Final = (".gz", ".bz2", ".zst")


def open_stream(path: Path) -> Any:
    """Opens a file as bytes, decompressed."""
    return load_pyarrow().input_stream(str(path), compression="detect")


def uncompressed_name(path: Path) -> str:
    """Returns the name of a file in lower case, without the ending of a compression."""
    name = path.name.lower()
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name
