"""The console's own feed and server, and one console for the tests of a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "console"))

from console_server import Console, running  # noqa: E402

from otel_ml.console._options import Options  # noqa: E402


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    """A console that keeps its rows in memory."""
    with running(Options()) as started:
        yield started
