"""Options of the whole suite."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import postgresql_server
import pytest
from hypothesis import settings

from otel_ml._telemetry import withholding

# No test asserts a time: a busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
_SLOW_SECONDS = 1800
_REPEAT_SECONDS = 60

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


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Iterator[None]:
    """Repeats the alarm of a test that hangs: after the first one it may wait again, for the end of its processes."""
    is_set = yield
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, left, _REPEAT_SECONDS)
    return is_set


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--update-golden`, which rewrites golden files; they are reviewed as a diff."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
