"""Static files, at an address that changes with their content, so that a browser may keep them for good."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.responses import Response

_FOLDER: Final = Path(__file__).parent / "static"
LIBRARY: Final = _FOLDER / "library.js"
"""The chart library, which npm fetches when the package is built."""


def prefix() -> str:
    """Returns the address of the folder; the modules in it import each other by relative addresses."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"/static/{digest.hexdigest()[:12]}"


def route(address: str) -> Mount:
    """Returns the route that serves the folder."""
    return Mount(address, _Kept(directory=_FOLDER))


class _Kept(StaticFiles):
    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
