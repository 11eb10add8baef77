"""What a finished prediction adds to its segments, in both modes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from otel_ml._figures.single import HIGHEST, LOWEST
from otel_ml._telemetry.predictions.segment_cells import Segment
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction.boundary._outputs import Output


class SegmentRows(NamedTuple):
    """What some rows of one segment add."""

    segment: Segment
    classes: Counter[str | None]
    scores: list[float]


def predicted_rows(
    columns: Sequence[str],
    outcome: Outcome,
    output: Output | None,
    start: int,
    class_of: Callable[[str | None], str | None],
) -> Iterator[SegmentRows]:
    """Yields what some predicted rows add to each segment.

    Args:
        columns: The segment columns.
        outcome: How the prediction ended.
        output: The outputs of the rows; None if they were not recognised.
        start: Position of the first row.
        class_of: Returns the class under which a row is counted.
    """
    count = outcome.predicted if output is None else output.rows_read
    classes: Sequence[str | None] = [None] * count
    scores: Sequence[float | None] = [None] * count
    if output is not None:
        classes, _, scores = (
            (output.classes, None, output.scores) if output.columns is None else output.columns.lists(count)
        )
    rows = outcome.segments_of_rows(start, count)
    found: dict[tuple[str, ...], tuple[list[str | None], list[float]]] = {}
    for row, label, score in zip(rows, classes, scores, strict=True):
        labels, numbers = found.setdefault(row, ([], []))
        labels.append(label)
        if score is not None and LOWEST <= score <= HIGHEST:
            numbers.append(score)
    for position, column in enumerate(columns):
        sums: dict[str, SegmentRows] = {}
        for row, (labels, numbers) in found.items():
            added = sums.setdefault(row[position], SegmentRows((column, row[position]), Counter(), []))
            for label, times in Counter(labels).items():
                added.classes[class_of(label)] += times
            added.scores.extend(numbers)
        yield from sums.values()


def failed_rows(columns: Sequence[str], outcome: Outcome) -> Iterator[tuple[Segment, int]]:
    """Yields the segments of a failed call with their rows; a cancelled call is neither a prediction nor an error."""
    if outcome.failure is None or outcome.failure.cancelled:
        return
    for row, times in Counter(outcome.segments).items():
        yield from ((segment, times) for segment in zip(columns, row, strict=True))


def timed_segments(columns: Sequence[str], outcome: Outcome) -> Iterator[tuple[Segment, float]]:
    """Yields the segments of a call with its duration in seconds; the duration of a batch belongs to no segment."""
    is_cancelled = outcome.failure is not None and outcome.failure.cancelled
    if outcome.rows is None and outcome.duration is not None and not is_cancelled:
        for segment in zip(columns, outcome.segments_of_rows(0, 1)[0], strict=True):
            yield segment, outcome.duration
