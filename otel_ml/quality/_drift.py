"""Drift of a data set from a profile, in batches and constant memory, by the formulas of the recording rules."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import Any, Final

from otel_ml import semconv
from otel_ml._digests import digest
from otel_ml._values.arrays import distinct
from otel_ml._values.equality import count_texts
from otel_ml._values.kinds import builtin
from otel_ml._values.missing import is_missing
from otel_ml._verdicts import PSI_LIMIT, WindowCounts
from otel_ml.quality._feature import Feature, ProfileError
from otel_ml.quality._profile_content import ProfileContent
from otel_ml.quality.comparison import (
    By,
    Comparison,
    FeatureDrift,
    Period,
    compare_counts,
    sort_by_severity,
    split_periods,
    take_rows,
)
from otel_ml.quality.counting._cells import ABSENT, INVALID_RULES, Cells, Layout, Slot
from otel_ml.quality.counting._columns import count_column, to_list
from otel_ml.quality.counting._monitor import FeatureMonitor
from otel_ml.quality.descriptors import describe_columns
from otel_ml.quality.files import NumberCells, TextCells

_UNSEEN_KEPT: Final = 10_000
"""Unseen categories kept by name, those with the least digests: which ones does not depend on the order of the rows."""
_KINDS: Final = {str: "text", bytes: "text", bool: "boolean", float: "infinite", int: "number"}


class DriftCounts:
    """Counts of a data set in the bins of the reference. They add up.

    Args:
        profile: The reference.
        by: Also counts the rows of each day, week or hour by themselves, if `count` gets their moments.
    """

    def __init__(self, profile: ProfileContent, *, by: By | None = None) -> None:
        self.profile = profile
        self.rows = 0
        monitor = FeatureMonitor({}, profile=profile)
        self._names, self._layout = monitor.names, monitor.layout
        self.by = by
        self._described = profile.described
        self._given: set[str] = set()
        """Output and label, if they were given."""
        self._cells = Cells(self._layout)
        self._periods: dict[str, tuple[Cells, list[int]]] = {}
        self._unseen: dict[str, Counter[str]] = {}
        self._invalid_kinds: dict[str, set[str]] = {}

    def count(
        self,
        columns: Mapping[str, Sequence[object] | TextCells | NumberCells],
        rows: int,
        *,
        output: Sequence[object] | TextCells | NumberCells | None = None,
        label: Sequence[object] | TextCells | NumberCells | None = None,
        moments: object = None,
    ) -> None:
        """Counts a batch of columns that have been read.

        Args:
            columns: Values by column.
            rows: Rows of the batch.
            output: The model's output on these rows, as in the score column of the profile.
            label: The true values of these rows, missing where they are not known yet.
            moments: When each row was predicted, for a split by time.
        """
        names = self._names.plan(tuple(columns)).names
        found: dict[str, Any] = {names.get(name, name): values for name, values in columns.items()}
        found.update({one.column: _listed(found[one.column]) for one in self._described if one.column in found})
        found = describe_columns(self._described, found)
        slots = [(slot, found.get(slot.name, ABSENT)) for slot in self._layout.slots]
        for slot, values in ((self._layout.output, output), (self._layout.label, label)):
            if slot is not None and values is not None:
                slots.append((slot, values))
                self._given.add(slot.name)
        typed = [(slot, _typed(slot, values)) for slot, values in slots]
        for slot, values in typed:
            self._count_whole(slot, values, rows)
        self.rows += rows
        if self.by is not None:
            for period, places in split_periods(moments, rows, self.by):
                cells, counted = self._periods.setdefault(period, (Cells(self._layout), [0]))
                counted[0] += len(places)
                for slot, values in typed:
                    _count(slot, take_rows(values, places, rows), len(places), cells)

    def find_columns(self, names: Sequence[str]) -> list[str]:
        """Returns the names that mean a feature, in any spelling."""
        renamed = self._names.plan(tuple(names)).names
        wanted = {slot.name for slot in self._layout.slots}.union(one.column for one in self._described)
        return [name for name in names if renamed.get(name, name) in wanted]

    def bins(self) -> dict[str, tuple[int, ...]]:
        """Returns the values in each bin by feature; output and label only if they were given."""
        layout, bins = self._layout, self._cells.bins
        more = [slot for slot in (layout.output, layout.label) if slot is not None and slot.name in self._given]
        return {
            slot.name: tuple(bins[slot.base : slot.base + len(slot.feature.labels)])
            for slot in (*layout.slots, *more)
            if slot.feature is not None
        }

    def features(self, threshold: float = PSI_LIMIT) -> list[FeatureDrift]:
        """Returns the features of the profile, the most severe first; output and label only if they were given."""
        return sort_by_severity(self._compare(self._cells, threshold))

    def compare(self, threshold: float = PSI_LIMIT) -> Comparison:
        """Returns the verdicts on all features, and on each period."""
        periods = [
            Period(label, counted[0], tuple(replace(found, bins=()) for found in self._compare(cells, threshold)))
            for label, (cells, counted) in sorted(self._periods.items())
        ]
        return Comparison(
            self.profile.id, self.profile.rows, self.rows, tuple(self.features(threshold)), self.by, tuple(periods)
        )

    def _compare(self, cells: Cells, threshold: float) -> list[FeatureDrift]:
        layout = self._layout
        more = [slot for slot in (layout.output, layout.label) if slot is not None and slot.name in self._given]
        return [
            compare_counts(
                slot.feature,
                self._window(cells, slot, slot.feature),
                threshold,
                new=_limited(self._unseen.get(slot.name, Counter())) if cells is self._cells else Counter(),
                invalid_kinds=tuple(sorted(self._invalid_kinds.get(slot.name, ()))),
            )
            for slot in (*layout.slots, *more)
            if slot.feature is not None
        ]

    def _window(self, cells: Cells, slot: Slot, feature: Feature) -> WindowCounts:
        """Returns what was counted of a feature; rows whose label has not come are left out."""
        window = cells.window(slot, feature)
        is_label = slot is self._layout.label
        return replace(window, found={**window.found, semconv.MISSING: 0}) if is_label else window

    def _count_whole(self, slot: Slot, values: Any, rows: int) -> None:
        feature, cells = slot.feature, self._cells
        if feature is None:
            return
        before = cells.window(slot, feature).found
        _count(slot, values, rows, cells)
        after = cells.window(slot, feature).found
        if after[semconv.UNSEEN_CATEGORIES] > before[semconv.UNSEEN_CATEGORIES] and not feature.sensitive:
            unseen = self._unseen.setdefault(slot.name, Counter())
            unseen.update(_count_unseen(slot, values))
            if len(unseen) > 2 * _UNSEEN_KEPT:
                self._unseen[slot.name] = _limited(unseen)
        if after[semconv.INVALID] > before[semconv.INVALID]:
            self._invalid_kinds.setdefault(slot.name, set()).update(_kinds_of_invalid(slot, values))

    def merge(self, other: DriftCounts) -> None:
        """Adds other counts; raises a ProfileError if they are of another reference, or split by another period."""
        if other.profile.id != self.profile.id:
            raise ProfileError(
                f"the scans are of different profiles, {self.profile.id} and {other.profile.id}: counts in other bins "
                "do not add up"
            )
        if other.by != self.by:
            raise ProfileError(f"the scans are split by different periods, {self.by} and {other.by}")
        self.rows += other.rows
        self._given |= other._given
        self._cells.add(other._cells)
        for period, (cells, counted) in other._periods.items():
            mine, rows = self._periods.setdefault(period, (Cells(self._layout), [0]))
            mine.add(cells)
            rows[0] += counted[0]
        for name, unseen in other._unseen.items():
            self._unseen[name] = _limited(self._unseen.get(name, Counter()) + unseen)
        for name, kinds in other._invalid_kinds.items():
            self._invalid_kinds.setdefault(name, set()).update(kinds)

    def content(self) -> dict[str, Any]:
        """Returns values of JSON, the same for the same rows in any order and partition."""
        return {
            "profile": self.profile.id,
            "by": self.by,
            "rows": self.rows,
            "given": sorted(self._given),
            "counts": _write_cells(self._cells),
            "periods": {
                period: {"rows": counted[0], "counts": _write_cells(cells)}
                for period, (cells, counted) in self._periods.items()
            },
            "unseen": {name: _limited(unseen) for name, unseen in self._unseen.items()},
            "invalid_kinds": {name: sorted(kinds) for name, kinds in self._invalid_kinds.items()},
        }

    def read_content(self, content: Mapping[str, Any]) -> None:
        """Takes over what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        self.rows = int(content["rows"])
        self._given = set(map(str, content["given"]))
        self._cells = _read_cells(self._layout, content["counts"])
        self._periods = {
            str(period): (_read_cells(self._layout, entry["counts"]), [int(entry["rows"])])
            for period, entry in content["periods"].items()
        }
        self._unseen = {str(name): Counter(unseen) for name, unseen in content["unseen"].items()}
        self._invalid_kinds = {str(name): set(kinds) for name, kinds in content["invalid_kinds"].items()}


def _write_cells(cells: Cells) -> dict[str, Any]:
    width = len(semconv.RULES)
    return {
        "bins": cells.bins,
        "missing": cells.missing,
        "violations": {rule: cells.violations[place::width] for place, rule in enumerate(semconv.RULES)},
    }


def _read_cells(layout: Layout, content: Mapping[str, Any]) -> Cells:
    cells = Cells(layout)
    by_rule = [content["violations"][rule] for rule in semconv.RULES]
    found = (content["bins"], content["missing"], [count for column in zip(*by_rule, strict=True) for count in column])
    for mine, theirs in zip((cells.bins, cells.missing, cells.violations), found, strict=True):
        if len(mine) != len(theirs):
            raise ValueError("the counts are of other columns")
        mine[:] = map(int, theirs)
    return cells


def _listed(values: Any) -> Any:
    """Returns the values of a column that is described, without cells of a text file and of rows without it."""
    if isinstance(values, TextCells):
        return values.texts().to_pylist()
    return [None if value is ABSENT else value for value in values] if type(values) is list else values


def _limited(unseen: Counter[str]) -> Counter[str]:
    if len(unseen) <= _UNSEEN_KEPT:
        return unseen
    return Counter({text: unseen[text] for text in nsmallest(_UNSEEN_KEPT, unseen, key=digest)})


def _typed(slot: Slot, values: Any) -> Any:
    return values.read_as(slot.feature) if isinstance(values, TextCells) else values


def _count(slot: Slot, values: Any, rows: int, cells: Cells) -> None:
    if isinstance(values, NumberCells):
        if values.invalid is not None:
            cells.violate(slot.index, "type", int(values.invalid.sum()))
            values = values.numbers[~values.invalid]
            rows = len(values)
        else:
            values = values.numbers
    count_column(slot, values, cells, bytearray(rows))


def _count_unseen(slot: Slot, values: Any) -> Counter[str]:
    """Returns how often each text occurs that the reference does not have."""
    feature = slot.feature
    if feature is None:
        return Counter()
    last = len(feature.labels) - 1
    return Counter({text: n for text, n in _count_texts(values).items() if feature.find_text_bin(text) == last})


def _count_texts(values: Any) -> Counter[str]:
    known = distinct(values)
    if known is None:
        return count_texts((value, 1) for value in to_list(values) if not is_missing(value))
    pairs = zip(known.values, known.counts, strict=True)
    return count_texts((value, count) for value, count in pairs if not is_missing(value))


def _kinds_of_invalid(slot: Slot, values: Any) -> set[str]:
    """Returns what the invalid values are."""
    if isinstance(values, NumberCells):
        kinds = {"text"} if values.invalid is not None and values.invalid.any() else set()
        return kinds | ({"infinite"} if bool(abs(values.numbers).max(initial=0.0) == math.inf) else set())
    known = distinct(values)
    invalid = (
        value
        for value in (to_list(values) if known is None else known.values)
        if slot.place(value).rule in INVALID_RULES
    )
    return {_KINDS.get(type(builtin(value)), "other") for value in invalid} or {"other"}
