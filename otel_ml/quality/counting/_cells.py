"""The integers that a monitor counts in, and the place of each feature and rule among them."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._values.missing import is_missing
from otel_ml._values.unread import UNREAD
from otel_ml._verdicts import RULES_OF_FINDING, WindowCounts
from otel_ml.quality._column_names import ColumnNames, column_key
from otel_ml.quality._feature import Feature
from otel_ml.quality._profile_content import ProfileContent
from otel_ml.quality._schema import Column, Schema
from otel_ml.quality.counting._estimator import Estimator

ABSENT: Final = object()
"""The value of a column that the row does not have."""
_REMEMBERED: Final = 128
_WHOLE: Final = re.compile("0|-?[1-9][0-9]*")
_LARGEST: Final = sys.float_info.max
INVALID_RULES: Final = frozenset(RULES_OF_FINDING[semconv.INVALID])
"""Values that break one of these rules have no bin."""
_RULE_INDEX: Final = {rule: position for position, rule in enumerate(semconv.RULES)}


class Placement(NamedTuple):
    """Where one value is counted, and the rule that it breaks."""

    bin: int | None
    """None for a value that is missing, invalid or of a column without bins."""
    missing: bool
    rule: str | None


class Slot:
    """One column: its bins, its rules, and what the fast path needs."""

    __slots__ = ("base", "column", "edges", "feature", "high", "index", "infinite", "lookup", "low", "name")

    def __init__(self, index: int, base: int, feature: Feature | None, column: Column | None) -> None:
        self.name = feature.name if feature is not None else column.name if column is not None else semconv.OTHER
        self.index = index
        self.base = base
        self.feature = feature
        self.column = column
        is_number = feature is not None and feature.kind == "number" and _takes(column, "number")
        self.edges = list(feature.edges) if feature is not None and is_number else None
        self.infinite = feature is not None and feature.infinite and (column is None or column.infinite)
        """Whether infinite values have a bin, the first or the last one, and break no rule."""
        self.low = column.low if column is not None and column.low is not None else -_LARGEST
        self.high = column.high if column is not None and column.high is not None else _LARGEST
        self.lookup = _lookup(base, feature, column)

    def remember(self, value: Any, position: int) -> None:
        """Adds a valid category to the fast path: a digest costs more than the rest of the row."""
        cls = type(value)
        if self.edges is None and (cls is str or cls is int or cls is float) and len(self.lookup) < _REMEMBERED:
            self.lookup[value] = self.base + position

    def place(self, value: object) -> Placement:
        """Returns how a value is counted; never raises."""
        column = self.column
        if value is UNREAD:
            return Placement(None, False, None)
        if value is ABSENT:
            return Placement(None, True, "missing_column" if column is not None and column.required else None)
        rule = None if column is None else column.broken_rule(value)
        if is_missing(value):
            return Placement(None, True, rule)
        if self.feature is None or rule in INVALID_RULES:
            return Placement(None, False, rule)
        position = self.feature.find_bin(value)
        return Placement(position, False, "type" if position is None else rule)


class Layout:
    """The columns of profile and schema, the important ones first, and the output."""

    def __init__(self, profile: ProfileContent | None, schema: Schema | None) -> None:
        columns = _columns_by_name(profile, schema)
        features = {feature.name: feature for feature in profile.features} if profile is not None else {}
        sensitive = frozenset() if schema is None else frozenset(map(column_key, schema.sensitive))
        described = () if profile is None else profile.described
        sources = {name: one.column for one in described for name in one.names}
        for name, feature in features.items():
            if not sensitive.isdisjoint(map(column_key, (name, sources.get(name, name)))):
                features[name] = feature.with_opaque_labels()
        self.closed = schema is not None and schema.closed
        self.slots: list[Slot] = []
        self.bins = 0
        for name in (*features, *(name for name in columns if name not in features)):
            self.slots.append(self._slot(features.get(name), columns.get(name)))
        output = None if profile is None else profile.output
        self.output = None if output is None else self._slot(output, None)
        label = None if profile is None else profile.label
        self.label = None if label is None else self._slot(label, None, after=2)
        """Counted in data sets; a service counts its labels where it joins them."""
        self.columns = len(self.slots) + 3
        """Places in `Cells.missing`: the slots, the output, all undeclared columns together, and the label."""

    def all_slots(self) -> list[Slot]:
        """Returns the columns and, last, the output: what a service counts."""
        return self.slots if self.output is None else [*self.slots, self.output]

    @property
    def extra(self) -> int:
        """Place of the columns that the schema does not have."""
        return len(self.slots) + 1

    def _slot(self, feature: Feature | None, column: Column | None, after: int = 0) -> Slot:
        slot = Slot(len(self.slots) + after, self.bins, feature, column)
        self.bins += 0 if feature is None else len(feature.labels)
        return slot


class Cells:
    """Counts since the start of the process; read and changed under the lock."""

    __slots__ = ("bins", "estimator", "invalid", "lock", "missing", "violations")

    def __init__(self, layout: Layout, estimator: Estimator | None = None) -> None:
        self.lock = threading.RLock()
        self.bins = [0] * layout.bins
        self.missing = [0] * layout.columns
        self.violations = [0] * (layout.columns * len(semconv.RULES))
        self.invalid = 0
        self.estimator = estimator
        """Counts the outputs of a model whose scores have a calibration."""

    def violate(self, column: int, rule: str, times: int = 1) -> None:
        """Counts violations of a rule by a column."""
        self.violations[column * len(semconv.RULES) + _RULE_INDEX[rule]] += times

    def count(self, slot: Slot, placement: Placement, times: int = 1) -> bool:
        """Counts a value; returns whether it breaks a rule."""
        if placement.bin is not None:
            self.bins[slot.base + placement.bin] += times
        if placement.missing:
            self.missing[slot.index] += times
        if placement.rule is None:
            return False
        self.violate(slot.index, placement.rule, times)
        return True

    def window(self, slot: Slot, feature: Feature) -> WindowCounts:
        """Returns what was counted of a feature so far."""
        bins = self.bins[slot.base : slot.base + len(feature.labels)]
        rules = self.violations[slot.index * len(semconv.RULES) : (slot.index + 1) * len(semconv.RULES)]
        broken = dict(zip(semconv.RULES, rules, strict=True))
        found = {
            **{finding: sum(broken[rule] for rule in names) for finding, names in RULES_OF_FINDING.items()},
            semconv.MISSING: self.missing[slot.index],
            semconv.UNSEEN_CATEGORIES: bins[-1] if feature.kind == "category" else 0,
        }
        return WindowCounts(feature.merge_rest(bins), found)

    def add(self, other: Cells) -> None:
        """Adds the counts of other cells with the same layout."""
        with self.lock:
            for counts, more in (
                (self.bins, other.bins),
                (self.missing, other.missing),
                (self.violations, other.violations),
            ):
                for position, count in enumerate(more):
                    if count:
                        counts[position] += count
            self.invalid += other.invalid
            mine, theirs = self.estimator, other.estimator
            if mine is not None and theirs is not None and mine.calibration == theirs.calibration:
                mine.sums.merge(theirs.sums)

    def reset(self) -> None:
        """Starts at 0 in a forked child, where another thread of the parent may have held the lock."""
        self.lock = threading.RLock()
        for counts in (self.bins, self.missing, self.violations):
            counts[:] = [0] * len(counts)
        self.invalid = 0
        if self.estimator is not None:
            self.estimator.sums.reset()


def _columns_by_name(profile: ProfileContent | None, schema: Schema | None) -> Mapping[str, Column]:
    """Returns the columns of the schema under the names of the profile, if those differ in form only."""
    declared = {column.name: column for column in schema.columns} if schema is not None else {}
    known = ColumnNames(() if profile is None else (*profile.columns, *(feature.name for feature in profile.features)))
    described = () if profile is None else {one.column for one in profile.described}
    columns: dict[str, Column] = {}
    for name, column in declared.items():
        found = known.find(name) or name
        if found in described:
            continue
        if found == name or found in declared or found in columns:
            columns[name] = column
        else:
            columns[found] = replace(column, name=found)
    return columns


def _takes(column: Column | None, kind: str) -> bool:
    return column is None or column.type in {kind, "any"}


def _lookup(base: int, feature: Feature | None, column: Column | None) -> dict[str | int, int]:
    """Returns the place of each known category, by text and, if it has one, by whole number; 1.0 finds that of 1."""
    if feature is None or feature.kind != "category" or feature.sensitive or not _takes(column, "category"):
        return {}
    known: dict[str | int, int] = {}
    for position, category in enumerate(feature.categories):
        if column is not None and column.broken_rule(category) is not None:
            continue
        known[category] = base + position
        if _WHOLE.fullmatch(category):
            known[int(category)] = base + position
    return known
