"""What every field test leaves behind: nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def models_of_a_test_end_with_it() -> Iterator[None]:
    """A model in a reference cycle would still have its series in the next test."""
    yield
    gc.collect()
