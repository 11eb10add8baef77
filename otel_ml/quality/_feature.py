"""One feature of the reference: its bins, their labels, and the bin of a value."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal

from otel_ml import semconv
from otel_ml._digests import digest
from otel_ml._values import class_text, number, written_number
from otel_ml._values.equality import spellings
from otel_ml._values.kinds import builtin
from otel_ml._verdicts import Reference
from otel_ml.quality._bloom import BloomFilter

Kind = Literal["number", "category"]

BINS: Final = 10
"""Quantile bins of a numeric feature."""
SCORE_BINS: Final = 20
"""Uniform bins of a score in 0..1."""
CATEGORIES: Final = 20
"""Categories that get a bin of their own."""
DISCRETE_VALUES: Final = 25
"""A numeric column with at most so many distinct values is categorical."""
SINGLE_PRECISION: Final = 1e-6
"""Single precision changes a number by less than this part of it."""
EXACT_SINGLE: Final = 2**24
"""Single precision represents every whole number up to here."""
RARE: Final = 20
"""A category seen less often is `semconv.OTHER`: it could identify a person."""
SALT_LENGTH: Final = 32
"""Characters of a salt."""
LABEL_LENGTH: Final = 64
"""Characters of a category in a bin's label."""
_LONG_FRACTION: Final = re.compile(r"-?\d+\.\d{8,}", re.ASCII)
"""A number as files of formats 1 and 2 have it: with more digits than single precision keeps."""


class ProfileError(ValueError):
    """A reference that cannot be created or read; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Feature:
    """One column of the reference, binned. Values lie in the bin ``edges[i-1] <= value < edges[i]``."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    """One text per bin, readable and ordered; opaque if the column is sensitive."""
    counts: tuple[int, ...]
    """Values of the reference in each bin."""
    missing: int
    """Missing values in the reference."""
    edges: tuple[float, ...] = ()
    """Inner edges of a numeric feature, ascending; the first and the last bin are open."""
    categories: tuple[str, ...] = ()
    """Category of each bin except the last two, which are other and unseen; digests if the column is sensitive."""
    rare: tuple[str, ...] = field(default=(), repr=False)
    """Digests of the categories that were too rare for their own bin; none if they are in `rare_filter`."""
    rare_filter: str = field(default="", repr=False)
    """Many such digests as a `BloomFilter`, in base64."""
    singletons: int = 0
    """Categories that the reference has exactly once."""
    low: float | None = None
    high: float | None = None
    """Least and greatest finite value of a numeric feature; None if the column is sensitive."""
    infinite: bool = False
    """Whether the reference has infinite values; they are in the first and the last bin."""
    text_numbers: bool = False
    """Whether texts and booleans that mean a number count as numbers."""
    invalid: int = 0
    """Values of the reference that have no bin, such as text among numbers."""
    periodic: bool = False
    """Whether the feature follows the clock, so that its distribution in a window is no evidence of drift."""
    sensitive: bool = False
    salt: str = field(default="", repr=False)
    """Key of the digests of a sensitive column, random for each fit."""
    windows: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Names of saved windows, each with its values in each bin."""

    @property
    def size(self) -> int:
        """Values in the reference, without missing ones."""
        return sum(self.counts)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Share of each bin, smoothed so that none is 0: ``(r + 0.5) / (m + 0.5 B)``.

        The last bin of a category, unseen, has the Good-Turing estimate of the share of new categories: that of the
        categories seen once, ``n1 / m``. The bin of the other rare ones gives it up.
        """
        total = self.size + 0.5 * len(self.counts)
        weights = [count + 0.5 for count in self.counts]
        if self.kind == "category" and self.singletons:
            unseen = max(float(self.singletons), weights[-1])
            weights[-2:] = [max(weights[-2] + weights[-1] - unseen, 0.5), unseen]
        return tuple(weight / total for weight in weights)

    @cached_property
    def reference(self) -> Reference:
        """What a window is judged by; expected shares are of all values, missing and invalid ones included."""
        size, rows = self.size, self.size + self.missing + self.invalid
        expected = {
            semconv.MISSING: (self.missing + 0.5) / (rows + 1),
            semconv.INVALID: (self.invalid + 0.5) / (rows + 1),
        }
        if self.kind == "category":
            expected[semconv.UNSEEN_CATEGORIES] = self.shares[-1] * size / max(rows, 1)
        elif self.low is not None:
            expected[semconv.OUT_OF_RANGE] = 2 / (size + 2) * size / max(rows, 1)
        if self.name == semconv.LABEL_FEATURE:
            del expected[semconv.MISSING]  # labels come late: one that has not come is no finding
        return Reference(self.merge_rest(self.shares), size, expected, self.periodic)

    @property
    def expected_unseen(self) -> float:
        """Share of values whose category the reference does not have, by Good and Turing."""
        return self.singletons / self.size if self.size else 0.0

    def merge_rest(self, by_bin: Sequence[float]) -> tuple[float, ...]:
        """Adds up the last two bins of a category, other and unseen: together they are compared as one bin.

        Which rare categories are in a sample is chance: a fresh sample has some that the reference does not have.
        """
        return (*by_bin[:-2], by_bin[-2] + by_bin[-1]) if self.kind == "category" else tuple(by_bin)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Bin of each known category, by its text or digest."""
        exact = {category: position for position, category in enumerate(self.categories)}
        long = (
            {} if self.sensitive else {text: place for text, place in exact.items() if _LONG_FRACTION.fullmatch(text)}
        )
        return {**{class_text(float(text)) or text: place for text, place in long.items()}, **exact}

    @cached_property
    def rare_digests(self) -> Container[str]:
        """Digests of the categories without a bin of their own, for look-ups."""
        return BloomFilter.from_text(self.rare_filter) if self.rare_filter else frozenset(self.rare)

    def with_opaque_labels(self) -> Feature:
        """Returns the feature with labels that do not show its categories and edges."""
        if self.kind == "number":
            return replace(self, labels=opaque_labels(len(self.edges) + 1))
        return replace(self, labels=tuple(category_labels(self.categories, sensitive=True)))

    def find_bin(self, value: object) -> int | None:
        """Returns the bin of a value; None if it is missing or has no bin, such as text in a numeric column."""
        if self.kind == "number":
            plain = number(value)
            if plain is None:
                plain = self._find_number(value)
            return None if plain is None else bisect_right(self.edges, plain)
        text = class_text(value)
        return None if text is None else self.find_text_bin(text)

    def _find_number(self, value: object) -> float | None:
        """Returns the number that an infinite value or a text is in this feature."""
        found = builtin(value)
        if isinstance(found, float):
            return found if self.infinite and math.isinf(found) else None
        return written_number(found) if self.text_numbers else None

    def find_text_bin(self, text: str) -> int:
        """Returns the bin of a canonical category; the last bin is unseen, the one before it other.

        As `find_equal` has it, the other spellings of a number or a boolean are tried if the text itself is not known.
        """
        position = self._find_category(text)
        if position is None:
            found = (self._find_category(spelling) for spelling in spellings(text))
            position = next((place for place in found if place is not None), len(self.labels) - 1)
        return position

    def _find_category(self, text: str) -> int | None:
        position = self.codes.get(digest(text, self.salt) if self.sensitive else text)
        if position is None and (self.rare or self.rare_filter) and digest(text, self.salt) in self.rare_digests:
            return len(self.labels) - 2
        return position


def opaque_labels(bins: int) -> tuple[str, ...]:
    """Returns the labels ``00``, ``01``, ... of the bins of a sensitive number."""
    return tuple(f"{position:02d}" for position in range(bins))


def category_labels(categories: Sequence[str], *, sensitive: bool) -> list[str]:
    """Returns the categories, cut if long, or ``c00``, ``c01``, ... if sensitive; then other and unseen."""
    labels = []
    for position, category in enumerate(categories):
        if sensitive:
            labels.append(f"c{position:02d}")
        elif len(category) > LABEL_LENGTH:
            labels.append(f"{category[: LABEL_LENGTH - 9]}~{digest(category)[:8]}")
        else:
            labels.append(category)
    return [*labels, semconv.OTHER, semconv.UNSEEN]
