"""What the field tests share."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def what_was_loaded_before_is_not_searched() -> Iterator[None]:
    """The collection after each test takes a few milliseconds, not a tenth of a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_model_is_left() -> Iterator[None]:
    """No model lives on into the next test: not in a reference cycle, and not in what FastAPI keeps of each endpoint."""
    yield
    if "fastapi.dependencies.models" in sys.modules:
        for function in vars(sys.modules["fastapi.dependencies.models"]).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()
    gc.collect()
