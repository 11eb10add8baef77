"""What the tests of ground truth share: an empty store of each kind, and both modes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    """Telemetry in memory, in own mode and in guest mode."""
    with InMemoryTelemetry(request.param) as made:
        yield made


@pytest.fixture
def truth(store_url: str) -> Iterator[otel_ml.GroundTruth]:
    """A store in SQLite and in PostgreSQL."""
    made = otel_ml.GroundTruth(store_url)
    yield made
    made.close()
