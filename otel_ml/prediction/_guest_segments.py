"""Segments in guest mode: counters are handed over at the SDK's collections, histograms recorded one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from otel_ml import semconv
from otel_ml._instruments import create
from otel_ml._telemetry.predictions.segment_cells import Segment
from otel_ml._telemetry.records import Attributes
from otel_ml.prediction._outcome import Outcome, Segments
from otel_ml.prediction.binding._guest_counts import ModelCounts, SegmentKey, segment_attributes
from otel_ml.prediction.segments._counts import failed_rows, predicted_rows, timed_segments

if TYPE_CHECKING:
    from otel_ml.prediction.binding._binding import Binding
    from otel_ml.prediction.boundary._outputs import Output


class GuestSegments:
    """Counts the segments of one model.

    Args:
        meter: Creates the histograms.
        counts: Keeps the counts until the next collection.
        binding: The model.
    """

    def __init__(self, meter: Meter, counts: ModelCounts, binding: Binding) -> None:
        self._duration: Histogram = create(meter, semconv.SEGMENT_DURATION)
        self._score: Histogram = create(meter, semconv.SEGMENT_SCORE)
        self._counts = counts
        self._columns = binding.spec.segments
        self._class_of = binding.segment_class
        begun = [(semconv.SEGMENT_PREDICTIONS, label) for label in binding.segment_classes()]
        begun.append((semconv.SEGMENT_ERRORS, None))
        if binding.monitor is not None:
            begun.append((semconv.SEGMENT_MISSING, None))
        self._begun = begun
        """What each segment counts from 0 on."""
        for segment in binding.spec.known_segments():
            self._begin(segment)

    def count(self, outcome: Outcome, context: Context) -> None:
        """Counts the rows of a call."""
        if outcome.failure is None:
            self.count_rows(outcome, outcome.output, 0, context)
        for segment, rows in failed_rows(self._columns, outcome):
            self._add(segment, semconv.SEGMENT_ERRORS, None, rows)
        for segment, seconds in timed_segments(self._columns, outcome):
            self._duration.record(seconds, self._attributes(segment), context=context)

    def count_rows(self, outcome: Outcome, output: Output | None, start: int, context: Context) -> None:
        """Counts some predicted rows, with the position of the first."""
        for segment, classes, scores in predicted_rows(self._columns, outcome, output, start, self._class_of):
            for label, times in classes.items():
                self._add(segment, semconv.SEGMENT_PREDICTIONS, label, times)
            attributes = self._attributes(segment)
            for score in scores:
                self._score.record(score, attributes, context=context)

    def add_missing(self, segments: Segments, count: int) -> None:
        """Counts missing values of rows with these segments."""
        for segment in zip(self._columns, segments, strict=True):
            self._add(segment, semconv.SEGMENT_MISSING, None, count)

    def _attributes(self, segment: Segment) -> Attributes:
        return segment_attributes(self._counts.attributes, segment)

    def _begin(self, segment: Segment) -> None:
        """Starts the series of a segment at 0."""
        for metric, label in self._begun:
            self._counts.add_to_segment(SegmentKey(metric, segment, label), 0)

    def _add(self, segment: Segment, metric: semconv.Metric, label: str | None, count: int) -> None:
        if not self._counts.knows(segment):
            self._begin(segment)
        self._counts.add_to_segment(SegmentKey(metric, segment, label), count)
