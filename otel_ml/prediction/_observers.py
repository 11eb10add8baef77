"""Consumers of finished predictions besides telemetry: the monitor of features and the store of ground truth."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from otel_ml import _guard
from otel_ml._figures.label_bins import LabelBins
from otel_ml._logged_prediction import LoggedModel, LoggedRows
from otel_ml._telemetry import ports
from otel_ml._telemetry.records import FastRecord, FastRecordValues, Shape
from otel_ml._values.labels import SEVERAL
from otel_ml.prediction._outcome import Outcome, Segments
from otel_ml.prediction._spec import ModelSpec, PredictionStore, RowStore
from otel_ml.prediction.boundary._feature_batch import FEW_ROWS, ROWS_IN_EVENT, FeatureBatch, Features
from otel_ml.prediction.boundary._feature_rows import PartialRow
from otel_ml.prediction.boundary._outputs import Output
from otel_ml.quality import FeatureMonitor, MissingRows


class Observers:
    """The monitor and the store of one model. Another engine gets new ones: its counts start at 0."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._log_rows: Callable[..., None] | None = None
        self._model = LoggedModel(
            model=spec.name,
            version=spec.version,
            role=spec.role,
            task=spec.task,
            positive=spec.positive,
            classes=spec.classes,
            label_bins=_label_bins(spec),
            segments=spec.segments,
            calibration=spec.calibration,
        )
        self.monitor: FeatureMonitor | None = None
        """Counts the features' bins; None without a profile and a schema."""
        if spec.profile is not None or spec.schema is not None:
            self.monitor = FeatureMonitor(
                dict(spec.attributes),
                profile=spec.profile,
                schema=spec.schema,
                calibration=spec.calibration,
                segments=spec.segments,
            )
        self.add_missing: Callable[[Segments, int], None] | None = None
        """Counts missing values of rows with some segments; None if nobody does."""
        store = spec.store
        if store is not None:
            self._log_rows = store.log_rows if isinstance(store, RowStore) else partial(_log_each, store)
            store.drain_first(_drain)

    @property
    def exist(self) -> bool:
        """Whether there is a monitor or a store."""
        return self.monitor is not None or self._log_rows is not None

    def wants(self, outcome: Outcome) -> bool:
        """Whether `observe` has anything to do with this prediction."""
        if self._log_rows is not None and _has_output(outcome) and not outcome.is_job:
            return True
        return self.monitor is not None and _is_observable(outcome) and not _is_counted(outcome)

    def count_outputs(self, outcome: Outcome) -> None:
        """Counts the outputs of many rows on the caller's thread, so that a full queue of the worker loses none.

        A failure has no output: it counts as an error, and not as a missing value too.
        """
        if self.monitor is not None and outcome.failure is None and _has_many_rows(outcome) and _is_observable(outcome):
            _guard.call("quality.observe", _count_outputs, self.monitor, outcome.output, outcome.rows or 1)

    def rows_needed(self, outcome: Outcome) -> int:
        """Returns how many rows of outputs are needed once they are counted: all of them, or those of the event."""
        is_stored = (self._log_rows is not None and not outcome.is_job) or not _has_many_rows(outcome)
        return ROWS_IN_EVENT if outcome.output is None or not is_stored else outcome.output.rows_read

    def observe(self, outcome: Outcome, ids: tuple[int, int, int]) -> None:
        """Counts the features' bins and logs the prediction to the store; on the worker in own mode.

        Args:
            outcome: How the prediction ended. Of a job only the bins are counted: `log_job` stores its rows.
            ids: Trace id, span id and trace flags.
        """
        if self.monitor is not None:
            _guard.call("quality.observe", self._count_features, self.monitor, outcome)
        if not outcome.is_job:
            self._log_outputs(outcome, ids)

    def count_rows(
        self,
        rows: list[dict[str, object] | None],
        labels: list[str],
        scores: list[float],
        segments: Sequence[Segments] | None,
    ) -> None:
        """Counts the bins of single rows and their outputs; None for a row that is unknown."""
        if self.monitor is not None:
            lacking = MissingRows(self.monitor)
            _guard.call("quality.observe", _count_rows, self.monitor, rows, labels, scores)
            self._add_missing(segments, (lacking.count_row(_counted(row)) for row in rows))

    def observe_features(self, batch: FeatureBatch, segments: Sequence[Segments] | None) -> None:
        """Counts the features of some rows of a batch, with the segments of each."""
        if self.monitor is not None:
            lacking = MissingRows(self.monitor)
            columns = _counted(batch)
            self.monitor.observe_features(columns, batch.rows)
            if segments is not None:
                self._add_missing(segments, lacking.count_batch(columns, batch.rows))

    def _add_missing(self, segments: Sequence[Segments] | None, missing: Iterable[int]) -> None:
        """Counts missing values by segment, if somebody does."""
        if segments is not None and self.add_missing is not None:
            sums: Counter[Segments] = Counter()
            for row, count in zip(segments, missing, strict=True):
                sums[row] += count
            for row, count in sums.items():
                if count:
                    self.add_missing(row, count)

    def _count_features(self, monitor: FeatureMonitor, outcome: Outcome) -> None:
        output, features = outcome.output, outcome.features
        if not isinstance(features, FeatureBatch) and outcome.rows in (None, 1):
            lacking, row = MissingRows(monitor), _counted(features)
            if outcome.failure is None:
                prediction, score = _result(output, 0)
                monitor.observe_row(row, prediction, score)
                if output is not None and output.shares is not None:
                    monitor.observe_probabilities([prediction], output.shares[:1])
            elif row:
                monitor.observe_features({name: [value] for name, value in row.items()}, 1)
            if outcome.segments is not None:
                self._add_missing(outcome.segments, [lacking.count_row(row)])
            return
        if isinstance(features, FeatureBatch) and not features.is_counted:
            self.observe_features(features, outcome.segments)
        if not _has_many_rows(outcome) and outcome.failure is None:
            _count_outputs(monitor, output, outcome.rows or 1)

    def log_job(self, outcome: Outcome, ids: tuple[int, int, int]) -> None:
        """Logs the rows of a job to the store, and waits for room; on the caller's thread, which nothing else needs.

        Args:
            outcome: How the prediction ended; without a job nothing is done.
            ids: Trace id, span id and trace flags.
        """
        if outcome.is_job:
            self._log_outputs(outcome, ids)

    def observe_slice(self, outcome: Outcome, part: Output, start: int, ids: tuple[int, int, int]) -> None:
        """Observes further outputs of a large batch while the caller waits.

        Args:
            outcome: How the batch ended.
            part: Outputs of some rows.
            start: Position of the first of them.
            ids: Trace id, span id and trace flags.
        """
        if self.monitor is not None:
            _guard.call("quality.observe", _count_outputs, self.monitor, part, part.rows_read)
        self._log(outcome, part, ids, start)

    def log_fast(self, records: Sequence[FastRecordValues]) -> None:
        """Logs predictions of the fast path to the store, if there is one."""
        if self._log_rows is not None:
            _guard.call("ground_truth.log", self._log_rows, self._fast_rows(records), wait=False)

    def _log_outputs(self, outcome: Outcome, ids: tuple[int, int, int]) -> None:
        if outcome.output is not None and _has_output(outcome):
            self._log(outcome, outcome.output, ids)

    @_guard.guarded("ground_truth.log")
    def _log(self, outcome: Outcome, output: Output, ids: tuple[int, int, int], start: int = 0) -> None:
        """Logs rows of a prediction, with the position of the first."""
        if self._log_rows is None or outcome.unpaired is not None:
            return
        columns, count = output.columns, output.rows_read
        classes, values, scores = (
            (output.classes, output.values, output.scores) if columns is None else columns.lists(count)
        )
        shares: Any = output.shares if columns is None else columns.shares
        moments = outcome.moments_of_rows(start, count)
        is_row = outcome.rows is not None or output.is_list
        rows = LoggedRows(
            model=self._model,
            ids=[outcome.prediction_id] if outcome.rows is None else outcome.ids_of_rows(start, count),
            predicted_at=[moment or 0.0 for moment in moments],
            predicted=classes,
            values=values,
            scores=scores,
            trace_ids=[f"{ids[0]:032x}"] * count,
            span_ids=[f"{ids[1]:016x}"] * count,
            sampled=[bool(ids[2] & 1)] * count,
            batch_id=outcome.prediction_id if is_row else None,
            batch_rows=(outcome.rows or 1) if is_row else None,
            probabilities=shares,
            segments=None if outcome.segments is None else outcome.segments_of_rows(start, count),
        )
        if None in moments:  # a row without a moment is not stored
            rows = rows.take([position for position, moment in enumerate(moments) if moment is not None])
        if rows.ids:
            self._log_rows(rows, wait=outcome.is_job)

    def _fast_rows(self, records: Sequence[FastRecordValues]) -> LoggedRows:
        columns = dict(zip(FastRecord._fields, zip(*records, strict=True), strict=True))
        segments = [source.combination for source in columns["source"]] if self._spec.segments else None
        return LoggedRows(
            model=self._model,
            ids=[f"{number:032x}" for number in columns["number"]],
            predicted_at=[end / 1e9 for end in columns["end_ns"]],
            predicted=columns["label"],
            values=[None] * len(records),
            scores=columns["score"],
            trace_ids=[f"{trace_id:032x}" for trace_id in columns["trace_id"]],
            span_ids=[f"{span_id:016x}" for span_id in columns["span_id"]],
            sampled=[shape & Shape.SAMPLED == Shape.SAMPLED for shape in columns["shape"]],
            segments=segments,
        )


def _label_bins(spec: ModelSpec) -> LabelBins | None:
    """Returns the bins of the labels of the reference; None for labels that are sensitive or several values."""
    label = None if spec.profile is None else spec.profile.label
    if spec.profile is None or label is None or label.sensitive or spec.task in SEVERAL:
        return None
    rare = None if label.rare_filter else label.rare
    return LabelBins(spec.profile.id, label.kind, label.labels, label.edges, label.categories, rare, label.salt)


def _log_each(store: PredictionStore, rows: LoggedRows, *, wait: bool) -> None:  # noqa: ARG001
    """Gives rows to a store that takes them one by one."""
    for prediction in rows.predictions():
        store.log_prediction(prediction)


def _count_rows(
    monitor: FeatureMonitor, rows: list[dict[str, object] | None], labels: list[str], scores: list[float]
) -> None:
    if any(isinstance(row, PartialRow) for row in rows):
        for row, label, score in zip(rows, labels, scores, strict=True):
            monitor.observe_row(_counted(row), label, score)
    else:
        monitor.observe_rows([row or {} for row in rows], labels, scores)


def _has_output(outcome: Outcome) -> bool:
    return outcome.output is not None and outcome.failure is None


def _is_observable(outcome: Outcome) -> bool:
    """Whether there is something to count in bins."""
    return outcome.features is not None or _has_output(outcome)


def _is_counted(outcome: Outcome) -> bool:
    """Whether all of it is in the bins already."""
    features = outcome.features
    return _has_many_rows(outcome) and (not isinstance(features, FeatureBatch) or features.is_counted)


def _has_many_rows(outcome: Outcome) -> bool:
    """Whether its outputs are counted before the prediction waits for the worker."""
    return (outcome.rows or 1) > FEW_ROWS


def _count_outputs(monitor: FeatureMonitor, output: Output | None, rows: int) -> None:
    if output is None:
        monitor.observe_outputs(None, None, rows)
        return
    columns = output.columns
    if columns is not None:
        predictions: Any = columns.values if columns.classes is None else columns.classes
        monitor.observe_outputs(predictions, columns.scores, columns.rows)  # type: ignore[arg-type]
        if columns.shares is not None:
            monitor.observe_probabilities(columns.classes, columns.shares)
        return
    pairs = [_result(output, index) for index in range(len(output.classes))]
    monitor.observe_outputs([pair[0] for pair in pairs], [pair[1] for pair in pairs], len(pairs))
    if output.shares is not None:
        monitor.observe_probabilities(output.classes, output.shares)


def _counted(features: Features | None) -> Mapping[str, Any]:
    """Returns the values of a row, or the columns of a batch, with marks in place of what was not read."""
    if isinstance(features, FeatureBatch):
        return {**features.columns, **features.marks} if features.marks else features.columns
    return {**features, **features.marks} if isinstance(features, PartialRow) else features or {}


def _result(output: Output | None, index: int) -> tuple[str | float | None, float | None]:
    """Prediction and score of one row."""
    if output is None or index >= len(output.classes):
        return None, None
    label = output.classes[index]
    return (label if label is not None else output.values[index]), output.scores[index]


def _drain(timeout: float) -> None:
    """Makes the worker hand over the predictions that were made so far."""
    engine = ports.state().engine
    if engine is not None:
        engine.drain(time.monotonic() + timeout)
