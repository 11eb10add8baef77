"""Which rows and labels the fast path takes, and what it keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_ml._values import CLASS_LIMIT, class_text
from otel_ml.prediction.boundary._feature_rows import SMALL_ROW, row_size, scalar_row

FEW_FEATURES = 64
"""Features of a row on the fast path; wider rows take the general path, which bounds their bytes."""
CLASS_TEXTS_KEPT = 128
_KEPT_AS_THEY_ARE = frozenset({float, bool, type(None)})
"""Types of values that need no check; texts and whole numbers have limits."""


class Admission:
    """The checks of the fast path that repeat from one prediction to the next, with what they remember."""

    class_label: Callable[[str], str]
    """Returns the class under which metrics count a class text."""

    def __init__(self) -> None:
        self.class_texts: dict[Any, tuple[str, str]] = {}
        """Class text and metric class by label, for ints and texts only: as keys, True and 1.0 equal 1."""
        self._last_kinds: tuple[type, ...] = ()
        """Types of the values of the last row that needed no check."""

    def copy_row(self, features: Any) -> dict[str, object] | None:
        """Copies a row before the wrapped code may change it; None for what takes the general path."""
        if type(features) is not dict or len(features) > FEW_FEATURES:
            return None
        row: dict[str, object] = features.copy()
        kinds = tuple(map(type, row.values()))
        if kinds != self._last_kinds:  # mostly they are those of the last row
            if _KEPT_AS_THEY_ARE.issuperset(kinds):
                self._last_kinds = kinds
            else:
                clean = scalar_row(features)
                return None if clean is None or row_size(clean) > SMALL_ROW else clean
        return row

    def find_texts(self, label: Any) -> tuple[str, str] | None:
        """Returns class text and metric class of a label; None for one that takes the general path."""
        if type(label) is not int and type(label) is not str:
            return None
        canonical = class_text(label)
        if canonical is None:
            return None
        texts = (canonical, self.class_label(canonical))
        if len(self.class_texts) < CLASS_TEXTS_KEPT and (not isinstance(label, str) or len(label) <= CLASS_LIMIT):
            self.class_texts[label] = texts
        return texts
