"""What is counted of one segment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from otel_ml import semconv
from otel_ml._telemetry.histograms import HistogramCell, add_counts

Segment = tuple[str, str]
"""A segment column and one of its values, as they are exported."""


class SegmentCells:
    """What one thread has counted of one segment."""

    __slots__ = ("classes", "durations", "errors", "missing", "scores")

    def __init__(self) -> None:
        self.classes: dict[str | None, int] = {}
        """Predictions by class; by None if the task is not binary."""
        self.errors = 0
        self.durations = HistogramCell(semconv.SEGMENT_DURATION_BUCKETS)
        self.scores = HistogramCell(semconv.SEGMENT_SCORE_BUCKETS)
        self.missing = 0
        """Missing feature values."""

    def add(self, other: SegmentCells) -> None:
        """Adds everything that another thread, or a combination, has counted."""
        add_counts(self.classes, other.classes)
        self.errors += other.errors
        self.durations.add(other.durations)
        self.scores.add(other.scores)
        self.missing += other.missing

    def add_predictions(
        self, classes: Mapping[str | None, int], durations: HistogramCell, scores: HistogramCell
    ) -> None:
        """Adds predictions that were counted together, in finer buckets."""
        add_counts(self.classes, classes)
        _add_finer(self.durations, durations)
        _add_finer(self.scores, scores)


def _add_finer(cell: HistogramCell, finer: HistogramCell) -> None:
    """Adds the counts of a cell whose bounds include those of this one."""
    for count, bound in zip(finer.counts, (*finer.bounds, float("inf")), strict=True):
        cell.counts[bisect_left(cell.bounds, bound)] += count
    cell.total += finer.total
    cell.minimum = min(cell.minimum, finer.minimum)
    cell.maximum = max(cell.maximum, finer.maximum)
