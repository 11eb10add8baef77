"""The features of training data: a column is one feature, and a described column one for each descriptor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from otel_ml.quality._feature import ProfileError
from otel_ml.quality.descriptors import DescribedColumn
from otel_ml.quality.summaries import ColumnSummary
from otel_ml.quality.training._fit import ColumnOptions, summarize
from otel_ml.quality.training._overrides import Overrides

_FORMS = {
    "text": "texts",
    "embedding": "vectors of finite numbers",
    "image": "images: give arrays or PIL images, not files or bytes",
}


class Inputs:
    """The features and their options.

    Args:
        overrides: The options by column.
        described: The columns that are described.
    """

    def __init__(self, overrides: Overrides, described: Sequence[DescribedColumn]) -> None:
        self._overrides = overrides
        self._by_column = {one.column: one for one in described}
        self._by_name = {name: one for one in described for name in one.names}
        for option in ("categorical", "numeric", "keep"):
            wrong = sorted(overrides.columns[option] & self._by_column.keys())
            if wrong:
                raise ProfileError(f"{', '.join(wrong)}: a text, embedding or image takes no `{option}` and no `bins`")

    def names(self, column: str) -> tuple[str, ...]:
        """Returns the features of a column."""
        one = self._by_column.get(column)
        return (column,) if one is None else one.names

    def options(self, name: str) -> ColumnOptions:
        """Returns the options of a feature: those of its column, and whether a descriptor is a category."""
        one = self._by_name.get(name)
        if one is None:
            return self._overrides.options(name)
        is_category = name in one.categories
        return replace(
            self._overrides.options(one.column), categorical=is_category, keep=is_category, numeric=not is_category
        )

    def summarize(self, name: str, values: Any) -> ColumnSummary:
        """Returns what is kept of a feature; a value that cannot be described is counted by the reason."""
        found = summarize(values, self.options(name))
        one = self._by_name.get(name)
        if one is None:
            return found
        wrong = sum(found.infinite) + found.unreadable.total()
        reason = f"its values are not {_FORMS[one.kind]}"
        return replace(found, infinite=(0, 0), unreadable=Counter({reason: wrong} if wrong else {}))
