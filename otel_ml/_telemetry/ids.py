"""Trace, span and prediction ids that neither read nor disturb the random state of the service."""

from __future__ import annotations

import os
import random
from typing import Protocol


class Ids(Protocol):
    """A source of ids; tests put a counting one here."""

    def trace_id(self) -> int:
        """128 bits, never 0."""

    def span_id(self) -> int:
        """64 bits, never 0."""

    def prediction_id(self) -> str:
        """32 lower-case hexadecimal digits, unique across processes and forks."""


class RandomIds:
    """Ids from a private generator that is seeded by the operating system, anew in every forked child."""

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reseed)

    def trace_id(self) -> int:
        return self._random.getrandbits(128) or 1

    def span_id(self) -> int:
        return self._random.getrandbits(64) or 1

    def prediction_id(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def _reseed(self) -> None:
        self._random.seed(os.urandom(32))


RANDOM: Ids = RandomIds()
"""The process's generator."""
