"""What is kept of a column: numbers, texts, and counts of everything else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from otel_ml.quality.summaries._numbers import NumberSummary

MOST_CATEGORIES: Final = 1_000_000
"""Categories of one feature, with rare ones."""


@dataclass
class TextCounts:
    """How often each canonical text occurs."""

    counts: Counter[str] | None = field(default_factory=Counter)
    """None if there are more than `MOST_CATEGORIES` texts."""
    rows: int = 0

    @classmethod
    def of(cls, counts: Counter[str]) -> TextCounts:
        """Returns the counts of texts that are counted already."""
        return cls(counts if len(counts) <= MOST_CATEGORIES else None, counts.total())

    def merge(self, other: TextCounts) -> TextCounts:
        """Returns the counts of both."""
        if self.counts is None or other.counts is None:
            return TextCounts(None, self.rows + other.rows)
        few, many = sorted((self.counts, other.counts), key=len)
        both = many.copy()
        both.update(few)
        return TextCounts.of(both)


def _no_numbers() -> NumberSummary:
    return NumberSummary.of(np.zeros(0, np.int64))


@dataclass
class ColumnSummary:
    """The values of one column that are not missing."""

    numbers: NumberSummary = field(default_factory=_no_numbers)
    """The finite ones."""
    infinite: tuple[int, int] = (0, 0)
    """How many are negative and positive infinity."""
    texts: TextCounts = field(default_factory=TextCounts)
    """Texts and booleans, and all values that the user, or the column's own type, says are categories."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """How many values cannot be a number or a text, by the reason."""
    text_numbers: bool = False
    """Whether some numbers were texts or booleans."""
    is_category: bool = False
    """Whether the user, or the type of the column in some part, says that it is one of categories."""
    binned: tuple[int, ...] = ()
    """Numbers in each bin, where the edges are known before the data."""

    @property
    def present(self) -> int:
        """Values that are not missing."""
        return len(self.numbers) + sum(self.infinite) + self.texts.rows + self.unreadable.total()

    def merge(self, other: ColumnSummary) -> ColumnSummary:
        """Returns the summary of the values of both."""
        longer, shorter = sorted((self.binned, other.binned), key=len, reverse=True)
        return ColumnSummary(
            self.numbers.merge(other.numbers),
            (self.infinite[0] + other.infinite[0], self.infinite[1] + other.infinite[1]),
            self.texts.merge(other.texts),
            self.unreadable + other.unreadable,
            self.text_numbers or other.text_numbers,
            self.is_category or other.is_category,
            tuple(map(sum, zip(longer, shorter or (0,) * len(longer), strict=True))),
        )

    def content(self) -> dict[str, Any]:
        """Returns values of JSON; what is empty is left out."""
        texts = self.texts
        found = {
            "numbers": self.numbers.content() if len(self.numbers) else None,
            "infinite": list(self.infinite) if any(self.infinite) else None,
            "texts": texts.counts,
            "text_rows": texts.rows if texts.counts is None else None,
            "unreadable": self.unreadable,
            "text_numbers": self.text_numbers,
            "is_category": self.is_category,
            "binned": list(self.binned),
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_content(cls, content: Any) -> ColumnSummary:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        numbers = content.get("numbers")
        low, high = content.get("infinite", (0, 0))
        rows = content.get("text_rows")
        texts = TextCounts.of(Counter(content.get("texts", {}))) if rows is None else TextCounts(None, int(rows))
        return cls(
            _no_numbers() if numbers is None else NumberSummary.from_content(numbers),
            (int(low), int(high)),
            texts,
            Counter(content.get("unreadable", {})),
            bool(content.get("text_numbers")),
            bool(content.get("is_category")),
            tuple(map(int, content.get("binned", ()))),
        )
