"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are written by a flag and reviewed as a diff, never by hand."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
