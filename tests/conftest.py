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
_SLOW_SECONDS = 1800

postgresql = postgresql_server.postgresql
store_url = postgresql_server.store_url


@pytest.fixture(autouse=True)
def exceptions_may_speak() -> Iterator[None]:
    """A sensitive model of one test withholds no exception of the next."""
    yield
    withholding.withhold_exceptions(withheld=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives slow tests half an hour; all others have the limit of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_SECONDS))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--update-golden`, which rewrites golden files; they are reviewed as a diff."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
