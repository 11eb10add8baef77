"""Options of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import postgresql_server
import pytest
from hypothesis import settings

from otel_ml._telemetry import withholding

# No test asserts a time: a busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

postgresql = postgresql_server.postgresql
store_url = postgresql_server.store_url


@pytest.fixture(autouse=True)
def exceptions_may_speak() -> Iterator[None]:
    """A sensitive model of one test withholds no exception of the next."""
    yield
    withholding.withhold_exceptions(withheld=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--update-golden`, which rewrites golden files; they are reviewed as a diff."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
