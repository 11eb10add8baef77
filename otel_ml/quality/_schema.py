"""Declares valid rows, and finds the rule that a value breaks."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from otel_ml._digests import digest
from otel_ml._values import class_text, written_number
from otel_ml._values.equality import spellings
from otel_ml._values.kinds import builtin
from otel_ml._values.missing import is_missing
from otel_ml.quality._feature import EXACT_SINGLE, SINGLE_PRECISION, ProfileError

if TYPE_CHECKING:
    from otel_ml.quality._feature import Feature
    from otel_ml.quality._profile_content import ProfileContent

Rule = Literal[
    "missing_column", "extra_column", "type", "null", "non_finite", "range_low", "range_high", "domain", "shape"
]

_NEW_CATEGORIES: Final = 0.001
"""Share of unseen categories above which they are expected and break no rule."""


@dataclass(frozen=True)
class Column:
    """The values that one column allows. Whole numbers and floats are both a ``number``; a bool is not."""

    name: str
    type: Literal["number", "text", "boolean", "category", "any"] = "any"
    nullable: bool = True
    required: bool = True
    low: float | None = None
    high: float | None = None
    """Inclusive bounds of a number."""
    domain: frozenset[str] | None = None
    """Allowed classes by canonical text; None allows all."""
    domain_digests: Container[str] = field(default=frozenset(), repr=False, compare=False)
    """Digests of further allowed classes; two fits of the same data have different ones."""
    digest_salt: str = field(default="", repr=False, compare=False)
    infinite: bool = False
    """Whether a number may be infinite."""
    text_numbers: bool = False
    """Whether texts and booleans that mean a number count as numbers."""
    sensitive: bool = False

    def __post_init__(self) -> None:
        if self.type not in {"number", "text", "boolean", "category", "any"}:
            raise ProfileError(f"column {self.name!r}: type must be number, text, boolean, category or any")
        if self.type != "number" and (self.low is not None or self.high is not None):
            raise ProfileError(f"column {self.name!r}: only a number has a range")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ProfileError(f"column {self.name!r}: the range {self.low} to {self.high} is empty")

    def rules(self) -> tuple[Rule, ...]:
        """Returns the rules that this column can break."""
        declared: list[tuple[Rule, bool]] = [
            ("missing_column", self.required),
            ("null", not self.nullable),
            ("type", self.type != "any"),
            ("non_finite", self.type == "number" and not self.infinite),
            ("range_low", self.low is not None),
            ("range_high", self.high is not None),
            ("domain", self.domain is not None),
        ]
        return tuple(rule for rule, is_declared in declared if is_declared)

    def broken_rule(self, value: object) -> Rule | None:
        """Returns the first rule that a value breaks; None if it is valid."""
        if is_missing(value):
            return None if self.nullable else "null"
        plain = builtin(value)
        if self.type == "number":
            return self._broken_by_number(plain)
        if self.type == "text":
            wrong = not isinstance(plain, str)
        elif self.type == "boolean":
            wrong = not isinstance(plain, bool)
        else:
            wrong = self.type == "category" and class_text(plain) is None
        if wrong:
            return "type"
        return None if self.domain is None or self._is_in_domain(plain, self.domain) else "domain"

    def _broken_by_number(self, plain: object) -> Rule | None:
        if self.text_numbers and isinstance(plain, (str, bool)):
            plain = written_number(plain)
        if isinstance(plain, bool) or not isinstance(plain, (int, float)):
            return "type"
        if isinstance(plain, float) and not math.isfinite(plain):
            return None if self.infinite else "non_finite"
        if self.low is not None and plain < self.low:
            return "range_low"
        if self.high is not None and plain > self.high:
            return "range_high"
        return None

    def _is_in_domain(self, plain: object, domain: frozenset[str]) -> bool:
        """Whether the text of a value, or another spelling of the same number or boolean, is allowed."""
        text = class_text(plain)
        if text is None or text in domain:
            return text is not None
        texts = (text, *spellings(text))
        return not domain.isdisjoint(texts) or any(
            digest(one, self.digest_salt) in self.domain_digests for one in texts
        )


@dataclass(frozen=True)
class Schema:
    """The columns of a row; with `closed` there may be no others."""

    columns: tuple[Column, ...]
    closed: bool = False
    sensitive: frozenset[str] = frozenset()
    """Columns whose values never leave the process: marked columns, and further ones without rules."""

    def __init__(self, columns: Sequence[Column], *, closed: bool = False, sensitive: Collection[str] = ()) -> None:
        names = [column.name for column in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ProfileError(f"declared twice: {', '.join(twice)}")
        object.__setattr__(self, "columns", tuple(columns))
        object.__setattr__(self, "closed", closed)
        marked = {column.name for column in columns if column.sensitive}
        object.__setattr__(self, "sensitive", frozenset(marked.union(sensitive)))

    @property
    def names(self) -> tuple[str, ...]:
        """The declared columns, in order."""
        return tuple(column.name for column in self.columns)

    @classmethod
    def from_profile(cls, profile: ProfileContent, *, closed: bool = False) -> Schema:
        """Returns the types, ranges and categories of the reference; null is allowed where it had missing values."""
        sensitive = profile.sensitive
        columns = [_column(feature, is_sensitive=feature.name in sensitive) for feature in profile.features]
        return cls(columns, closed=closed, sensitive=sensitive)


def _column(feature: Feature, *, is_sensitive: bool) -> Column:
    nullable = feature.missing > 0
    if feature.kind == "number":
        return Column(
            feature.name,
            "number",
            nullable,
            low=_widened(feature.low, -1),
            high=_widened(feature.high, 1),
            infinite=feature.infinite,
            text_numbers=feature.text_numbers,
            sensitive=is_sensitive,
        )
    is_closed = feature.expected_unseen < _NEW_CATEGORIES
    return Column(
        feature.name,
        "category",
        nullable,
        domain=(frozenset() if feature.sensitive else frozenset(feature.codes)) if is_closed else None,
        domain_digests=_KnownDigests(feature) if is_closed else frozenset(),
        digest_salt=feature.salt,
        sensitive=is_sensitive,
    )


class _KnownDigests(Container[str]):
    """Digests of the categories of a feature that are not listed in the domain."""

    def __init__(self, feature: Feature) -> None:
        self._rare = feature.rare_digests
        self._frequent = frozenset(feature.categories if feature.sensitive else ())
        self._content = (feature.rare, feature.rare_filter, self._frequent)

    def __contains__(self, found: object) -> bool:
        return found in self._frequent or found in self._rare

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _KnownDigests):
            return NotImplemented
        return self._content == other._content

    __hash__ = None  # type: ignore[assignment]


def _widened(bound: float | None, sign: int) -> float | None:
    """Returns the bound of a range that also holds it in single precision."""
    if bound is None or (bound == int(bound) and abs(bound) <= EXACT_SINGLE):
        return bound
    return bound + sign * abs(bound) * SINGLE_PRECISION
