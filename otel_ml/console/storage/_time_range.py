"""A time range that is divided into equal steps."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

_SETTLED_NS: Final = 3 * 10**9
"""A last step that began later is left out: records need a moment to arrive."""
WHERE: Final = "place_ns >= ? and place_ns < ?"
"""The SQL condition on spans, logs, predictions and labels."""


class TimeRange(NamedTuple):
    """From a moment to another, in steps that begin at whole multiples of the step."""

    since_ns: int
    until_ns: int
    step_ns: int

    @classmethod
    def of(cls, since_ns: int, until_ns: int, step_ns: int) -> TimeRange:
        """Returns the steps that lie between two moments."""
        return cls(since_ns // step_ns * step_ns, until_ns, step_ns)

    @property
    def starts(self) -> list[int]:
        """The start of each step; a last one that has hardly begun is left out."""
        found = list(range(self.since_ns, self.until_ns, self.step_ns))
        short = len(found) > 1 and self.until_ns - found[-1] < _SETTLED_NS
        return found[:-1] if short else found

    def seconds(self, start_ns: int) -> float:
        """How much of a step has passed."""
        return min(self.step_ns, self.until_ns - start_ns) / 1e9

    @property
    def step(self) -> str:
        """The SQL expression of the number of a record's step."""
        return f"((place_ns - {int(self.since_ns)}) // {int(self.step_ns)})::int"

    @property
    def values(self) -> list[Any]:
        """The parameters of `WHERE`."""
        return [self.since_ns, self.until_ns]
