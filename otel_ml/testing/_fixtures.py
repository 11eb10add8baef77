"""The pytest fixtures `telemetry` and `guest_telemetry`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_ml import _guard
from otel_ml.testing._in_memory import InMemoryTelemetry


def fail_on_internal_errors(kit: InMemoryTelemetry) -> None:
    """Raises AssertionError if otel-ml caught an exception of its own that the test did not expect."""
    counts = _guard.counts()
    if counts and not kit.internal_errors_expected:
        raise AssertionError(f"internal errors of otel-ml: {counts}; see the log lines of 'otel_ml'")


@pytest.fixture
def telemetry() -> Iterator[InMemoryTelemetry]:
    """Telemetry of one test in own mode; internal errors of otel-ml fail the test."""
    with InMemoryTelemetry() as kit:
        yield kit
        kit.flush()
        fail_on_internal_errors(kit)


@pytest.fixture
def guest_telemetry() -> Iterator[InMemoryTelemetry]:
    """Telemetry of one test in guest mode, over SDK providers; internal errors of otel-ml fail the test."""
    with InMemoryTelemetry("guest") as kit:
        yield kit
        fail_on_internal_errors(kit)
