"""Exact figures by the segments of one column: which segment is the worst, and how fairly segments are treated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otel_ml._figures import segments
from otel_ml._figures.segments import Contrast, Errors, SegmentOutcomes, Share
from otel_ml.ground_truth._segment_texts import read_segments
from otel_ml.ground_truth.exact._labelled import Labelled
from otel_ml.ground_truth.exact._rows import Classes, Row

_SHARES: Final = ("accuracy", "exact_match", "hit_rate")
"""Figures that are the share of good predictions, of which a task has at most one."""
_FAIRNESS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Share]], float | None]]]] = {
    "selection_ratio": ("selected", segments.ratio),
    "true_positive_rate_difference": ("true_positives", segments.difference),
    "false_positive_rate_difference": ("false_positives", segments.difference),
}
"""The share of a segment that a figure compares, and how."""


class SegmentFigures(dict[str, dict[str, Any]]):
    """The figures of each segment of one column, the segment with the most labels first."""

    def __init__(self, figures: Mapping[str, dict[str, Any]], notes: Sequence[str] = ()) -> None:
        super().__init__(figures)
        self.worst = find_worst(figures)
        """The segment that is most surely worse than the rest: its ``segment``, the ``figure``, ``value`` and ``rest``,
        ``z`` and its ``limit``, and whether that is ``is_beyond_noise``; None if too few are labelled."""
        self.fairness = measure_fairness(figures)
        """Of a binary model ``selection_ratio`` and the differences of the true and the false positive rates: the
        ``value`` of each, whether some segment differs by ``is_beyond_noise``, and the segments that are ``left_out``
        because they have no positive (or negative) label."""
        self.notes = list(notes)
        """What there is to know about all of them."""

    def __reduce__(self) -> tuple[Any, ...]:
        return SegmentFigures, (dict(self), self.notes)


class LabelledSegments:
    """The labelled predictions of a window by segment.

    Args:
        column: The segment column.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._segments: dict[str, Labelled] = {}
        self._columns: set[str] = set()
        """The segment columns that predictions have."""
        self.labelled = 0
        self._without = 0
        """Predictions without the column."""
        self.class_keys: set[str | None] = set()
        """Keys of the sets of classes that the models declared."""

    def add(self, rows: Sequence[Row]) -> None:
        """Takes the next rows; the last value of each is the text of its segments."""
        self.labelled += len(rows)
        self.class_keys.update(row[2] for row in rows)
        parts: dict[str | None, list[Row]] = {}
        for row in rows:
            parts.setdefault(row[-1], []).append(row)
        for text, part in parts.items():
            found = read_segments(text)
            self._columns.update(found)
            if self._column in found:
                self._segments.setdefault(found[self._column], Labelled()).add(part)
            else:
                self._without += len(part)

    def notes(self) -> list[str]:
        """Returns what there is to know about the column."""
        if self._without and not self._segments:
            known = f"they have {', '.join(sorted(self._columns))}" if self._columns else "they have none"
            return [f"no labelled prediction has the segment column {self._column!r}: {known}"]
        if self._without:
            return [f"{self._without} labelled predictions have no segment column {self._column!r}: no figure has them"]
        return []

    def figures(self, classes: Classes) -> dict[str, dict[str, Any]]:
        """Computes the figures of each segment, the one with the most labels first."""
        found = {segment: labelled.figures(classes) for segment, labelled in sorted(self._segments.items())}
        return dict(sorted(found.items(), key=lambda one: -int(one[1]["labelled"])))


def find_worst(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Returns the segment that is most surely worse than the rest; None unless two can be compared."""
    for name in (*_SHARES, "mae"):
        known = {segment: each for segment, each in figures.items() if each.get(name) is not None}
        found = _compare(name, known)
        if found is not None:
            return {
                "segment": found.segment,
                "figure": name,
                "value": found.value,
                "rest": found.rest,
                "z": found.z,
                "limit": found.limit,
                "is_beyond_noise": found.is_beyond_noise,
            }
    return None


def _compare(name: str, figures: Mapping[str, Mapping[str, Any]]) -> Contrast | None:
    if name in _SHARES:
        return segments.lowest_share({segment: _share(each, name) for segment, each in figures.items()})
    sums = {
        segment: Errors(each["count"], each["mae"] * each["count"], each["rmse"] ** 2 * each["count"])
        for segment, each in figures.items()
    }
    return segments.highest_mean(sums)


def measure_fairness(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the figures of fairness; none unless all segments have the same positive class."""
    known = {segment: each for segment, each in figures.items() if each.get("accuracy") is not None}
    positives = {each["positive"] for each in known.values()}
    if len(known) < 2 or len(positives) > 1 or None in positives:
        return {}
    outcomes = {segment: _outcomes(each) for segment, each in known.items()}
    found = {}
    for name, (share, measure) in _FAIRNESS.items():
        shares = {segment: getattr(each, share) for segment, each in outcomes.items()}
        value = measure(shares)
        found[name] = {
            "value": value,
            "is_beyond_noise": None if value is None else segments.is_any_beyond_noise(shares),
            "left_out": [segment for segment, each in shares.items() if not each.whole],
        }
    return found


def _outcomes(figures: Mapping[str, Any]) -> SegmentOutcomes:
    """Returns the outcomes of a segment, from its accuracy and the recall of the positive class."""
    of_positive = figures["per_class"].get(figures["positive"], {"count": 0, "recall": None})
    true, count = of_positive["count"], figures["count"]
    tp = round((of_positive["recall"] or 0.0) * true)
    tn = round(figures["accuracy"] * count) - tp
    return SegmentOutcomes(tp, count - true - tn, true - tp, tn)


def _share(figures: Mapping[str, Any], name: str) -> Share:
    return Share(round(figures[name] * figures["count"]), figures["count"])
