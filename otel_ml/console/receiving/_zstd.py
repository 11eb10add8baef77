"""Decompression of zstd, which Python has from 3.14 on; for older ones the package `backports.zstd` has the same."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any, Final

_WINDOW_LOG: Final = 23
"""The most memory of one frame, 8 MiB, as RFC 9659 has it for HTTP."""


def _find() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return None


_LIBRARY: Final = _find()
IS_KNOWN: Final = _LIBRARY is not None
"""Whether this Python reads zstd."""
ERRORS: Final[tuple[type[Exception], ...]] = (_LIBRARY.ZstdError,) if IS_KNOWN else ()
"""What `decompress` of a frame raises."""


def frame() -> Any:
    """Returns what decompresses one frame, with the methods of zlib's object."""
    return _LIBRARY.ZstdDecompressor(options={_LIBRARY.DecompressionParameter.window_log_max: _WINDOW_LOG})
