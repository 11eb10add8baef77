"""What one thread has counted of one model, and the identity of a model."""

from __future__ import annotations

from typing import NamedTuple

from otel_ml import semconv
from otel_ml._telemetry.histograms import HistogramCell, add_all, add_counts
from otel_ml._telemetry.predictions.segment_cells import Segment, SegmentCells

CLASSES_KEPT = 20
STAGES_KEPT = 32
ERROR_TYPES_KEPT = 32
"""Beyond these limits a value is counted as `semconv.OTHER`."""


class ModelIdentity(NamedTuple):
    """The identity of a model, which all its signals carry."""

    name: str
    version: str
    role: str

    def attributes(self) -> dict[str, str]:
        """Returns the identity as OTel attributes, a new dictionary at each call."""
        return {
            semconv.MODEL_NAME: self.name,
            semconv.MODEL_VERSION: self.version,
            semconv.MODEL_ROLE: self.role,
        }


class ModelCells:
    """What one thread has counted for one model."""

    __slots__ = (
        "batch_sizes",
        "classes",
        "durations",
        "failures",
        "finished",
        "first_items",
        "omissions",
        "scores",
        "segments",
        "stages",
        "started",
        "unrecognised",
    )

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self.unrecognised = 0
        self.omissions: dict[str, int] = {}
        self.classes: dict[str | None, int] = {}
        self.durations = HistogramCell(semconv.DURATION_BUCKETS)
        self.failures: dict[str, HistogramCell] = {}
        self.scores = HistogramCell(semconv.SCORE_BUCKETS)
        self.batch_sizes = HistogramCell(semconv.BATCH_BUCKETS)
        self.stages: dict[str, HistogramCell] = {}
        self.first_items = HistogramCell(semconv.DURATION_BUCKETS)
        self.segments: dict[Segment, SegmentCells] = {}

    def segment(self, segment: Segment) -> SegmentCells:
        """Returns the cells of one segment. Its reader bounds how many there are."""
        found = self.segments.get(segment)
        return found if found is not None else self.segments.setdefault(segment, SegmentCells())

    def stage(self, name: str) -> HistogramCell:
        """Returns the duration cell of one stage."""
        return _keyed(self.stages, name, STAGES_KEPT)

    def failure(self, error_type: str) -> HistogramCell:
        """Returns the duration cell of calls that failed with this error type."""
        return _keyed(self.failures, error_type, ERROR_TYPES_KEPT)

    def add(self, other: ModelCells) -> None:
        """Adds everything that another thread has counted."""
        self.finished += other.finished  # read before `started`, so that finished never exceeds it
        self.started += other.started
        self.unrecognised += other.unrecognised
        add_counts(self.classes, other.classes)
        add_counts(self.omissions, other.omissions)
        self.durations.add(other.durations)
        self.scores.add(other.scores)
        self.batch_sizes.add(other.batch_sizes)
        self.first_items.add(other.first_items)
        add_all(self.failures, other.failures)
        add_all(self.stages, other.stages)
        for segment, cells in list(other.segments.items()):
            self.segment(segment).add(cells)

    def histograms(self) -> list[tuple[str, HistogramCell]]:
        """Returns every histogram cell; keys are ``durations``, ``failures/<type>``, ``stages/<name>`` and so on."""
        return [
            ("durations", self.durations),
            ("scores", self.scores),
            ("batch_sizes", self.batch_sizes),
            ("first_items", self.first_items),
            *((f"failures/{name}", cell) for name, cell in list(self.failures.items())),
            *((f"stages/{name}", cell) for name, cell in list(self.stages.items())),
        ]


def _keyed(cells: dict[str, HistogramCell], name: str, limit: int) -> HistogramCell:
    cell = cells.get(name)
    if cell is None:
        if len(cells) >= limit:
            name = semconv.OTHER
        cell = cells.setdefault(name, HistogramCell(semconv.DURATION_BUCKETS))
    return cell
