"""One feature of the reference: its bins, their labels, and the bin of a value."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Literal

from otel_ml import semconv
from otel_ml._values import class_text, number
from otel_ml._verdicts import Reference

Kind = Literal["number", "category"]

BINS: Final = 10
"""Quantile bins of a numeric feature."""
SCORE_BINS: Final = 20
"""Uniform bins of a score in 0..1."""
CATEGORIES: Final = 20
"""Categories that get a bin of their own."""
DISCRETE_VALUES: Final = 25
"""A numeric column with at most so many distinct values is categorical."""
RARE: Final = 20
"""A category seen less often is `semconv.OTHER`: it could identify a person."""
SALT_LENGTH: Final = 32
"""Characters of a salt."""
LABEL_LENGTH: Final = 64
"""Characters of a category in a bin's label."""


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
    rare: tuple[str, ...] = ()
    """Digests of the categories that were too rare for their own bin."""
    low: float | None = None
    high: float | None = None
    """Least and greatest finite value of a numeric feature; None if the column is sensitive."""
    sensitive: bool = False
    salt: str = field(default="", repr=False)
    """Key of the digests of a sensitive column, random for each fit."""

    @property
    def size(self) -> int:
        """Values in the reference, without missing ones."""
        return sum(self.counts)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Share of each bin, smoothed so that none is 0: ``(r + 0.5) / (m + 0.5 B)``."""
        total = self.size + 0.5 * len(self.counts)
        return tuple((count + 0.5) / total for count in self.counts)

    @cached_property
    def reference(self) -> Reference:
        """What a window is judged against."""
        size, rows = self.size, self.size + self.missing
        expected = {semconv.MISSING: (self.missing + 0.5) / (rows + 1), semconv.INVALID: 0.5 / (rows + 1)}
        if self.kind == "category":
            expected[semconv.UNSEEN_CATEGORIES] = self.shares[-1]
        elif self.low is not None:
            expected[semconv.OUT_OF_RANGE] = 2 / (size + 2)
        return Reference(self.merge_rest(self.shares), size, expected)

    def merge_rest(self, by_bin: Sequence[float]) -> tuple[float, ...]:
        """Adds up the last two bins of a category, other and unseen: together they are compared as one bin.

        Which rare categories are in a sample is chance: a fresh sample has some that the reference does not have.
        """
        return (*by_bin[:-2], by_bin[-2] + by_bin[-1]) if self.kind == "category" else tuple(by_bin)

    @cached_property
    def codes(self) -> dict[str, int]:
        """Bin of each known category, by its text or digest."""
        return {category: position for position, category in enumerate(self.categories)}

    @cached_property
    def rare_digests(self) -> frozenset[str]:
        """`rare` for look-ups."""
        return frozenset(self.rare)

    def with_opaque_labels(self) -> Feature:
        """Returns the feature with labels that do not show its categories and edges."""
        if self.kind == "number":
            return replace(self, labels=tuple(numeric_labels(self.edges, sensitive=True)))
        return replace(self, labels=tuple(category_labels(self.categories, sensitive=True)))

    def find_bin(self, value: object) -> int | None:
        """Returns the bin of a value; None if it is missing or has no bin, such as text in a numeric column."""
        if self.kind == "number":
            plain = number(value)
            return None if plain is None else bisect_right(self.edges, plain)
        text = class_text(value)
        return None if text is None else self.find_text_bin(text)

    def find_text_bin(self, text: str) -> int:
        """Returns the bin of a canonical category; the last bin is unseen, the one before it other."""
        position = self.codes.get(digest(text, self.salt) if self.sensitive else text)
        if position is not None:
            return position
        if self.rare and digest(text, self.salt) in self.rare_digests:
            return len(self.labels) - 2
        return len(self.labels) - 1


def digest(text: str, salt: str = "") -> str:
    """Returns a short hash of a category, keyed by the salt, which recognises a value without containing it.

    Anyone who also has the salt, as in the file of a profile, can still try values one by one.
    """
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=salt.encode()).hexdigest()


def numeric_labels(edges: Sequence[float], *, sensitive: bool, closed: tuple[str, str] = ("-inf", "inf")) -> list[str]:
    """Returns labels such as ``07 [25, 32)``, readable and ordered as text; only the number if sensitive."""
    if sensitive:
        return [f"{position:02d}" for position in range(len(edges) + 1)]
    bounds = [closed[0], *(f"{edge:.15g}" for edge in edges), closed[1]]
    labels = []
    for position in range(len(edges) + 1):
        left = "(" if bounds[position] == "-inf" else "["
        right = "]" if position == len(edges) and closed[1] != "inf" else ")"
        labels.append(f"{position:02d} {left}{bounds[position]}, {bounds[position + 1]}{right}")
    return labels


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
