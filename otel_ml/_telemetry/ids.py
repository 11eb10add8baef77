"""Trace, span and prediction ids that neither read nor disturb the random state of the service."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial
from itertools import accumulate, repeat
from typing import Protocol

from otel_ml import _process


class Ids(Protocol):
    """A source of ids; tests use a counting one."""

    def trace_id(self) -> int:
        """128 bits, never 0."""

    def span_id(self) -> int:
        """64 bits, never 0."""

    def prediction_number(self) -> int:
        """128 bits, unique across processes and forks: a prediction id is their 32 lower-case hexadecimal digits."""


class RandomIds:
    """Ids from a private generator, seeded by the operating system at the start and in every forked child.

    A draw of 64 bits is 0, which is not a span id, once in half a million years at a million spans a second.
    """

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))
        # Attributes, not methods: these are called several times a prediction.
        self.trace_id: Callable[[], int] = partial(self._random.getrandbits, 128)
        self.span_id: Callable[[], int] = partial(self._random.getrandbits, 64)
        # Numbers of one process rise, by random steps: a database adds rows with rising keys at a third of the cost.
        # Nobody can guess the next one, and a forked child goes on by steps of its own.
        steps = map(self._random.getrandbits, repeat(64))
        start = self._random.getrandbits(127)
        self.prediction_number: Callable[[], int] = accumulate(steps, initial=start).__next__
        self.prediction_number()  # the start is the same in every forked child; all further numbers differ
        _process.in_child("ids.fork", self._reset_after_fork)

    def _reset_after_fork(self) -> None:
        self._random.seed(os.urandom(32))


RANDOM: Ids = RandomIds()
"""The process's generator."""
