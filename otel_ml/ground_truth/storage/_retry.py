"""Repeats a transaction while the database is away for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from otel_ml.ground_truth._errors import StoreError

_Result = TypeVar("_Result")
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class Retry:
    """Repeats transactions that fail for a reason that may pass.

    After a transaction that did not succeed in its time, later ones are tried once each, until one succeeds: a job
    whose database is away waits once, not for each of its parts.

    Args:
        seconds: After how long a transaction does not begin again.
        clock: Seconds that never go back.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._has_given_up = False

    def call(self, transaction: Callable[[], _Result]) -> _Result:
        """Returns the result of a transaction, which begins again while it fails and there is time.

        Raises:
            StoreError: It did not succeed.
        """
        end = self._clock() + (0.0 if self._has_given_up else self._seconds)
        pause = _FIRST_PAUSE
        while True:
            try:
                result = transaction()
            except StoreError as error:
                if not error.is_transient:
                    raise
                if self._clock() >= end:
                    self._has_given_up = True
                    raise
            else:
                self._has_given_up = False
                return result
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
