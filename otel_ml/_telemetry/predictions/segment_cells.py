"""What is counted of one segment, and the pending predictions of one combination of segments."""

from __future__ import annotations

from otel_ml import semconv
from otel_ml._telemetry.histograms import HistogramCell

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
        for label, count in list(other.classes.items()):
            self.classes[label] = self.classes.get(label, 0) + count
        self.errors += other.errors
        self.durations.add(other.durations)
        self.scores.add(other.scores)
        self.missing += other.missing


class Pending:
    """Predictions of the fast path that are not in buckets yet.

    Args:
        segments: The segments of all of them, one of each column; empty for a model without segments.
        by_class: Whether its segments count by class.
    """

    __slots__ = ("by_class", "cells", "classes", "elapsed_ns", "scores", "segments")

    def __init__(self, segments: tuple[Segment, ...] = (), *, by_class: bool = False) -> None:
        self.segments = segments
        self.by_class = by_class
        self.elapsed_ns: list[int] = []
        self.scores: list[float] = []
        self.classes: list[str] = []
        self.cells = SegmentCells()
        """What was bucketed since the last fold."""

    def is_empty(self) -> bool:
        """Whether nothing is pending."""
        return not (self.elapsed_ns or self.scores or self.classes)

    def take_cells(self) -> SegmentCells:
        """Returns what was bucketed since the last call."""
        taken, self.cells = self.cells, SegmentCells()
        return taken

    def clear(self) -> None:
        """Starts at zero, in place: the bindings hold the lists."""
        for pending in (self.elapsed_ns, self.scores, self.classes):
            pending.clear()
        self.cells = SegmentCells()
