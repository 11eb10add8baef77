"""How often to sample: the requested interval, stretched while sampling costs more than its budget."""

from __future__ import annotations

import logging
import os
from typing import Final

from otel_ml import semconv
from otel_ml.config import ConfigError

BUDGET: Final = 0.01
"""Share of one core that sampling may use by default."""
MAX_INTERVAL: Final = 300.0
"""Seconds beyond which the interval is never stretched."""

_WEIGHT: Final = 0.2
"""Weight of the last tick in the running mean of the cost."""
_CALM: Final = 0.9
"""The requested interval applies again once it would cost less than this part of the budget."""
_LOG: Final = logging.getLogger("otel_ml")


class Interval:
    """The current interval, from the mean cost of a tick.

    Args:
        interval: The requested seconds.
        budget: Share of one core; None for OTEL_ML_SAMPLER_BUDGET, or `BUDGET` without it.

    Raises:
        ConfigError: The budget is not a number above 0.
    """

    def __init__(self, interval: float, budget: float | None = None) -> None:
        self._requested = interval
        self.budget = _checked(budget)
        self.seconds = interval
        """The current interval."""
        self._cost: float | None = None
        self._is_first = True

    @property
    def is_stretched(self) -> bool:
        """Whether sampling costs more than its budget at the requested interval."""
        return self.seconds > self._requested

    def add_cost(self, cost: float) -> None:
        """Adds the CPU seconds of one tick; the first tick is ignored, because it opens everything."""
        if self._is_first:
            self._is_first = False
            return
        self._cost = cost if self._cost is None else self._cost + _WEIGHT * (cost - self._cost)
        needed = self._cost / self.budget
        if self.is_stretched and needed < self._requested * _CALM:
            self.seconds = self._requested
            _LOG.info("otel-ml: sampling is within its budget again: the interval is %.3g s", self._requested)
        elif self.is_stretched or needed > self._requested:
            self._stretch(needed)

    def _stretch(self, needed: float) -> None:
        was_stretched = self.is_stretched
        self.seconds = max(self._requested, min(needed, MAX_INTERVAL))
        if self.is_stretched and not was_stretched:
            _LOG.warning(
                "otel-ml: sampling costs %.2g %% of a core every %.3g s, above its budget of %.3g %%: the interval is "
                "stretched, see %s. %s sets the budget",
                100 * (self._cost or 0.0) / self._requested,
                self._requested,
                100 * self.budget,
                semconv.SAMPLER_INTERVAL.name,
                semconv.ENV_SAMPLER_BUDGET,
            )


def _checked(budget: float | None) -> float:
    text = os.environ.get(semconv.ENV_SAMPLER_BUDGET, "").strip()
    if budget is None and not text:
        return BUDGET
    try:
        value = float(text) if budget is None else float(budget)
    except (TypeError, ValueError):
        value = 0.0
    if not 0 < value <= 64:
        given = repr(text) if budget is None else repr(budget)
        raise ConfigError(
            f"budget ({semconv.ENV_SAMPLER_BUDGET}) is {given}: use a share of one core above 0, such as {BUDGET:g}"
        )
    return value
