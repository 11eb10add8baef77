"""Segments in guest mode: counters are handed over at the SDK's collections, histograms recorded one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, Meter

from otel_ml import semconv
from otel_ml._instruments import create
from otel_ml._telemetry.records import Attributes
from otel_ml.prediction._guest_counts import ModelCounts, SegmentKey, segment_attributes
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._segment_counts import failed_rows, predicted_rows
from otel_ml.prediction._segment_reader import Segments

if TYPE_CHECKING:
    from otel_ml.prediction._binding import Binding
    from otel_ml.prediction.boundary._outputs import Output

Segment: TypeAlias = "tuple[str, str]"


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
        """Counts the rows of a call; one that was cancelled is neither a prediction nor an error."""
        failure = outcome.failure
        if failure is not None and failure.cancelled:
            return
        if failure is None:
            self.count_rows(outcome, outcome.output, 0, context)
        else:
            for segment, rows in failed_rows(self._columns, outcome):
                self._add(segment, semconv.SEGMENT_ERRORS, None, rows)
        if outcome.rows is None and outcome.duration is not None:
            for segment in self._of(outcome.segments_of_rows(0, 1)[0]):
                self._duration.record(outcome.duration, self._attributes(segment), context=context)

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
        for segment in self._of(segments):
            self._add(segment, semconv.SEGMENT_MISSING, None, count)

    def _of(self, segments: Segments) -> list[Segment]:
        return list(zip(self._columns, segments, strict=True))

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
