"""How many values the rows lack that a monitor has just counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_ml._values.missing import is_missing
from otel_ml._values.unread import UNREAD
from otel_ml.quality.counting._columns import to_list
from otel_ml.quality.counting._monitor import FeatureMonitor


class MissingRows:
    """Looks only at the columns with more missing values than when it was made, so that rows without any cost nothing.

    Args:
        monitor: Counts the rows after this was made.
    """

    def __init__(self, monitor: FeatureMonitor) -> None:
        self._monitor = monitor
        self._before = list(monitor.cells.missing)

    def count_row(self, row: Mapping[str, object]) -> int:
        """Returns how many values one row lacks; 0 for an empty row, whose features are unknown."""
        return sum(is_missing(row.get(name)) for name in self._columns()) if row else 0

    def count_batch(self, columns: Mapping[str, Any], rows: int) -> Sequence[int]:
        """Returns how many values each row of a batch lacks."""
        found = [0] * rows
        for name in self._columns() if columns else ():
            values = columns.get(name)
            if values is None:
                found = [count + 1 for count in found]
            elif values is not UNREAD and len(values) == rows:
                for position, value in enumerate(to_list(values)):
                    found[position] += is_missing(value)
        return found

    def _columns(self) -> list[str]:
        now = self._monitor.cells.missing
        slots = self._monitor.layout.slots
        return [slot.name for slot in slots if now[slot.index] > self._before[slot.index]]
