"""Fixtures: every test starts and ends without a mode in force."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_ml import _guard
from otel_ml._telemetry import ports


@pytest.fixture(autouse=True)
def unbound() -> Iterator[None]:
    _guard.reset()
    yield
    ports.enter(None)
    _guard.reset()
