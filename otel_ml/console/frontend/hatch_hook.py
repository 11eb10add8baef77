"""Build hook of hatch: the console's libraries are bundled before a wheel or source distribution is made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from build_library import BuildError, build


class LibraryHook(BuildHookInterface):
    """Bundles; a build without npm goes on without charts."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface is hatch's
        try:
            build()
        except BuildError as error:
            self.app.display_warning(str(error))
