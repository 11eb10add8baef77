"""What the field tests share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_model_is_left() -> Iterator[None]:
    """A model in a reference cycle, as of an application, does not live on into the next test."""
    yield
    gc.collect()
