"""Counts of guest mode that are handed to the SDK at its collections, not with every prediction."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _guard, _process, semconv
from otel_ml._instruments import create
from otel_ml._telemetry.predictions.segment_cells import Segment
from otel_ml._telemetry.records import Attributes
from otel_ml.prediction._spec import ModelSpec

_ENDING: Final = threading.Event()


@cache
def _watch_exit() -> None:
    """Called once the SDK is there: exit functions that are registered later run first, before its last collection."""
    atexit.register(_ENDING.set)


class SegmentKey(NamedTuple):
    """What is counted of a segment."""

    metric: semconv.Metric
    segment: Segment
    label: str | None
    """The predicted class, if predictions are counted by class."""


class ModelCounts:
    """Calls in progress and predictions by class of one model, from one collection to the next."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.users: weakref.WeakSet[ModelSpec] = weakref.WeakSet()
        """The declarations of this model that still exist."""
        self.active = 0
        self._classes: dict[str | None, int] = {}
        self._segments: dict[SegmentKey, int] = {}
        self._known: set[Segment] = set()
        """The segments that have series."""
        self._lock = threading.RLock()

    def begin(self) -> None:
        """Counts a call that begins."""
        with self._lock:
            self.active += 1

    def end(self) -> None:
        """Counts a call that has ended. In a forked child it may have begun in the parent."""
        with self._lock:
            self.active = max(0, self.active - 1)

    def add(self, label: str | None, count: int) -> None:
        """Counts predictions of a class; None if they have none."""
        with self._lock:
            self._classes[label] = self._classes.get(label, 0) + count

    def knows(self, segment: Segment) -> bool:
        """Whether a segment has series already."""
        return segment in self._known

    def add_to_segment(self, key: SegmentKey, count: int) -> None:
        """Counts something of a segment."""
        with self._lock:
            self._known.add(key.segment)
            self._segments[key] = self._segments.get(key, 0) + count

    def take(self) -> dict[str | None, int]:
        """Returns the predictions since the last call."""
        with self._lock:
            taken, self._classes = self._classes, {}
        return taken

    def take_segments(self) -> dict[SegmentKey, int]:
        """Returns what was counted of segments since the last call."""
        with self._lock:
            taken, self._segments = self._segments, {}
        return taken

    def reset_after_fork(self) -> None:
        """In a forked child: what was not collected belongs to the parent."""
        self._lock = threading.RLock()
        self._classes = {}
        self._segments = {}
        self._known = set()
        self.active = 0


class GuestCounts:
    """Hands the counts of all models to the SDK when it collects.

    A call of an instrument cleans and hashes its attributes each time, which costs a prediction more than all that
    otel-ml does itself. `ml.prediction.active` is therefore observed, and its callback adds what was counted since to
    `ml.predictions` and to the counters of segments: an SDK calls the callbacks before it reads the other instruments.

    Args:
        meter: Creates both instruments.
        limit: Number of models above which unused ones are dropped.
    """

    def __init__(self, meter: Meter, limit: int) -> None:
        self._limit = limit
        self._models: dict[tuple[str, str, str], ModelCounts] = {}
        self._lock = threading.Lock()
        self._meter = meter
        self._predictions: metrics.Counter = create(meter, semconv.PREDICTIONS)
        self._segments: dict[semconv.Metric, metrics.Counter] = {}
        """The counters of segments, once a model has some."""
        create(meter, semconv.PREDICTION_ACTIVE, self._observe)
        create(meter, semconv.MODEL_PROCESSES, self._observe_processes)
        _watch_exit()
        _process.in_child("prediction.fork", self._reset_after_fork)

    def get(self, spec: ModelSpec) -> ModelCounts:
        """Returns the counts that all handles of this model share."""
        identity = (spec.name, spec.version, spec.role)
        with self._lock:
            counts = self._models.get(identity)
            if counts is None:
                if len(self._models) >= self._limit:
                    self._models = {known: one for known, one in self._models.items() if one.users}
                counts = ModelCounts(spec.attributes)
                self._models = {**self._models, identity: counts}
            counts.users.add(spec)
            if spec.segments and not self._segments:
                kinds = (semconv.SEGMENT_PREDICTIONS, semconv.SEGMENT_ERRORS, semconv.SEGMENT_MISSING)
                self._segments = {metric: create(self._meter, metric) for metric in kinds}
            return counts

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        return _guard.call("prediction.collect", self._collect) or []

    def _collect(self) -> list[Observation]:
        models = list(self._models.values())
        for counts in models:
            for label, count in counts.take().items():
                self._predictions.add(count, class_attributes(counts.attributes, label))
            for key, count in counts.take_segments().items():
                attributes = segment_attributes(counts.attributes, key.segment)
                self._segments[key.metric].add(count, class_attributes(attributes, key.label))
        return [Observation(counts.active, counts.attributes) for counts in models]

    def _observe_processes(self, _: CallbackOptions) -> list[Observation]:
        models = list(self._models.values())
        return [Observation(int(bool(each.users) and not _ENDING.is_set()), each.attributes) for each in models]

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        for counts in self._models.values():
            counts.reset_after_fork()


def class_attributes(attributes: Attributes, label: str | None) -> Attributes:
    """Returns the attributes of a prediction of this class."""
    return attributes if label is None else {**attributes, semconv.PREDICTION_CLASS: label}


def segment_attributes(attributes: Attributes, segment: Segment) -> Attributes:
    """Returns the attributes of a segment."""
    column, value = segment
    return {**attributes, semconv.SEGMENT_NAME: column, semconv.SEGMENT_VALUE: value}
