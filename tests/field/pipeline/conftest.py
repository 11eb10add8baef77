"""Real servers for the field tests of the pipeline; missing ones are built first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / part) for part in ("deploy/local", "deploy/compose", "tests/pipeline")]

import built_servers  # noqa: E402  (found by the line above)
from pipeline_servers import Backend, otlp_backend  # noqa: E402


@pytest.fixture(scope="session")
def otelcol() -> Path:
    """The Collector's binary."""
    return built_servers.binary("collector")


@pytest.fixture
def backend() -> Iterator[Backend]:
    """One recording back end in place of all three."""
    with otlp_backend() as recording:
        yield recording
