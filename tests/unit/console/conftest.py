"""Fixtures: consoles for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from console_server import Console, running

from otel_ml.console._options import Options


@pytest.fixture
def console() -> Iterator[Console]:
    """A console that keeps its rows in memory."""
    with running(Options()) as started:
        yield started


@pytest.fixture
def start() -> Iterator[Callable[..., Console]]:
    """Starts consoles with the test's options."""
    with contextlib.ExitStack() as stack:
        yield lambda write=True, **options: stack.enter_context(running(Options(**options), write=write))
