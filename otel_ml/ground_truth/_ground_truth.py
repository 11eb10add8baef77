"""`GroundTruth`: takes predictions and labels, emits live counts, computes exact figures."""

from __future__ import annotations

import time
import weakref
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, overload

from otel_ml import _guard, _process
from otel_ml._logged_prediction import LoggedPrediction, LoggedRows, name_text
from otel_ml._process.exit import at_exit
from otel_ml._values.moments import Moment, seconds
from otel_ml.ground_truth._account import INVALID, Account
from otel_ml.ground_truth._decay import check_figure, measure_decay
from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth._evaluator import Evaluator
from otel_ml.ground_truth._label_rows import GivenLabel, Labels, label_rows, read_label
from otel_ml.ground_truth._notes import list_notes
from otel_ml.ground_truth._recorder import Recorder, warn_not_stored
from otel_ml.ground_truth._records import State
from otel_ml.ground_truth._reporter import Reporter
from otel_ml.ground_truth._writer import BatchWriter
from otel_ml.ground_truth.exact._rows import NOTES
from otel_ml.ground_truth.exact._segments import SegmentFigures
from otel_ml.ground_truth.storage._comparison import compare_versions
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._expected import measure_expected
from otel_ml.ground_truth.storage._expiry import expire
from otel_ml.ground_truth.storage._rows import read_rows
from otel_ml.ground_truth.storage._store import Store
from otel_ml.ground_truth.storage._stored_outcomes import StoredOutcomes, read_stored
from otel_ml.ground_truth.storage._waiting import WaitingLabel, count_waiting, list_waiting
from otel_ml.ground_truth.storage._windows import (
    TruthWindow,
    count_predicted,
    coverage,
    list_models,
    measure_labelled,
    measure_segments,
    read_bounds,
    read_column,
    read_names,
)

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.metrics import Meter

QUEUE_SIZE: Final = 10_000
"""Predictions that may wait to be written; more are dropped and counted."""
_EXIT_SECONDS: Final = 5.0
_CHUNK: Final = 1000
"""Labels of one transaction, which excludes other writers for about 30 ms. Those of larger ones reach the oldest
generation of the garbage collector, at a third of a label; with random ids, smaller ones cost more to commit."""

_truths: weakref.WeakSet[GroundTruth] = weakref.WeakSet()
_open_stores: weakref.WeakValueDictionary[tuple[str, int, float | None, bool], GroundTruth] = (
    weakref.WeakValueDictionary()
)
"""The open stores, by the arguments with which they are pickled."""
_arriving: ContextVar[bool] = ContextVar("otel_ml_arriving", default=False)
"""Whether a store is being unpickled: then it need not be reachable at once."""


class GroundTruth:
    """Joins predictions with the labels that arrive later, exactly once over all processes that share the store.

    A prediction is known by model, version, role and id. One label settles every prediction of a model under its id,
    whichever comes first. `account` says what became of predictions and labels.

    Emits the counts ``ml.eval.*`` of the model's task, ``ml.eval.label.lag``, the event ``ml.label`` with the
    trace and span id of the prediction, and ``otelml.ground_truth.refused``. The store holds no features. It is
    pickled as its URL, including any password.

    Args:
        url: ``sqlite:///predictions.db`` or ``postgresql+psycopg://...``; to read only, also ``clickhouse://...``.
            Tables of an earlier version are migrated.
        meter: Where the counts go; by default the global one.
        logger: Where the events go; by default the global one.
        queue_size: Predictions that may wait to be written.
        ttl: Seconds after which predictions and waiting labels are deleted; None keeps them.
        clock: Seconds since the epoch.
        read_only: Whether the store only computes figures and never changes the database.

    Raises:
        StoreError: The store cannot be opened, or SQLAlchemy is not installed.
    """

    def __init__(  # noqa: PLR0913
        self,
        url: str,
        *,
        meter: Meter | None = None,
        logger: Logger | None = None,
        queue_size: int = QUEUE_SIZE,
        ttl: float | None = None,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        self._clock = clock
        self._ttl = ttl
        self._arguments = (url, queue_size, ttl, read_only)
        self._drains: list[Callable[[float], object]] = []
        self._database = StoreDatabase(url, read_only=read_only)
        try:
            self._database.open()
        except StoreError as error:
            if not _arriving.get():
                self._database.close()
                raise
            warn_not_stored(error)
        self._store = Store(self._database)
        self._reporter = Reporter(Evaluator(meter, logger))
        self._recorder = Recorder(self._store, self._reporter)
        interval = 60.0 if ttl is None else max(min(ttl / 10, 3600.0), 1.0)
        self._writer = BatchWriter(
            self._recorder.write,
            size=queue_size,
            refuse=self._reporter.report_refused,
            upkeep=self._expire,
            upkeep_interval=interval,
        )
        _truths.add(self)
        _open_stores[self._arguments] = self
        _process.in_child("ground_truth.fork", self._reset_after_fork)

    def __copy__(self) -> GroundTruth:
        return self  # a store is shared, as a file is

    def __deepcopy__(self, _: dict[int, Any]) -> GroundTruth:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), *self._arguments)

    @property
    def dropped(self) -> int:
        """Predictions that were not stored; `account` has the reasons."""
        return self._reporter.counts.refused

    def account(self) -> Account:
        """Returns what became of the predictions and labels that this process has handed over so far. Never raises."""
        waiting = _guard.call("ground_truth.account", self._count_waiting)
        return self._reporter.counts.account(queued=self._writer.queued, waiting=waiting)

    def log_prediction(self, prediction: LoggedPrediction) -> None:
        """Queues a prediction to be stored. Never blocks, never raises; with a full queue it is dropped and counted."""
        rows = _guard.call("ground_truth.read", read_rows, prediction)
        if rows is None:
            self._reporter.report_refused_prediction(INVALID, prediction)
        else:
            self._writer.offer(rows)

    def log_rows(self, rows: LoggedRows, *, wait: bool = False) -> None:
        """Queues rows to be stored. Never raises; what is not taken is dropped and counted.

        Args:
            rows: Predictions of one model.
            wait: Whether to wait while the queue is full, as long as the store writes: it gives up after 30 s without
                progress. Without it, this never blocks.
        """
        self._writer.offer(rows, wait=wait)

    def record_label(
        self, prediction_id: str, label: object, at: Moment | None = None, *, model: str | None = None
    ) -> State:
        """Gives the predictions of a model under an id their true label. Blocks for one transaction; never raises.

        A store that cannot be reached is tried again for a second; then the label has `failed`, and can be given again
        later.

        Args:
            prediction_id: The id of the predictions, which may not be stored yet. Row *i* of a batch is
                ``<id>.<i>``; the row of a batch of one also takes labels under the bare id.
            label: The true class or number; of a multilabel model a list or set of classes, or a list of 0 and 1 for
                the declared ones; of a ranking the relevant items, or a mapping of their gains.
            at: When the label became known, as seconds since the epoch (a text of them too), a datetime, a date or an
                ISO 8601 text; now by default. Without a zone it is local time.
            model: The model's name; needed if several models use the id.

        Returns:
            ``matched``; ``waiting`` for its prediction; ``duplicate`` of the same label; ``revised`` when it replaced
            another one; ``outdated`` when a newer one stays (by `at`); ``failed`` when nothing was stored, for example
            because the label is not a declared class: the log says why, and `account` counts the reasons. Of several
            predictions the first of ``matched``, ``revised``, ``duplicate``, ``outdated``, ``failed`` counts.
        """
        read = read_label(GivenLabel(prediction_id, label, at, model), self._clock)
        return self._recorder.record([read], wait=False)[0]

    def record_labels(self, labels: Labels, *, model: str | None = None) -> dict[State, int]:
        """Records many labels; returns how many came to each state.

        A store that cannot be reached is tried again for 30 seconds; what has `failed` then can be given again later.

        Args:
            labels: Tuples or mappings of ``prediction_id``, ``label`` and, if needed, ``at`` and ``model``; a mapping
                or Series of label by prediction id; or a frame with columns of these names.
            model: The model's name, where a label does not have its own.
        """
        states: Counter[State] = Counter()
        read = (read_label(row, self._clock) for row in label_rows(labels, model))
        while chunk := list(islice(read, _CHUNK)):
            states.update(self._recorder.record(chunk, wait=True))
        return dict(states)

    @overload
    def compute_metrics(
        self,
        start: Moment,
        end: Moment,
        *,
        model: str,
        version: str | None = ...,
        role: str | None = ...,
        by: str = ...,
        by_segment: None = ...,
    ) -> dict[str, Any]: ...

    @overload
    def compute_metrics(
        self,
        start: Moment,
        end: Moment,
        *,
        model: str,
        version: str | None = ...,
        role: str | None = ...,
        by: str = ...,
        by_segment: str,
    ) -> SegmentFigures: ...

    def compute_metrics(  # noqa: PLR0913
        self,
        start: Moment,
        end: Moment,
        *,
        model: str,
        version: str | None = None,
        role: str | None = "primary",
        by: str = "labeled_at",
        by_segment: str | None = None,
    ) -> dict[str, Any] | SegmentFigures:
        """The exact figures of the labelled predictions with ``start <= moment < end``; None where undefined.

        They are those of the latest labels, of one role, and of all versions unless one is named. Roles are not mixed,
        because a shadow or canary sees the same requests; None takes all of them.

        The figures are those of `semconv.FIGURES` that the task has, and ``r2``: equal to scikit-learn's, but None
        where undefined. ``intervals`` has the 95 % interval of each, as a list of two. Classes also have ``positive``,
        ``per_class`` and, of several, ``micro`` and ``weighted``; scores of a binary model have ``calibration``.

        ``labelled`` counts the predictions with a label, ``count`` those of them that also have a predicted class (or
        two numbers), ``scored`` those with a score, or with the probability of each class. By ``predicted_at`` also
        ``predicted``, the predictions in the window (those that were refused as repeated, too), and ``coverage``, the
        share of them with a label. ``notes``, if there are any, say why a figure is None, which models there are if no
        prediction is found, and how many labels wait or failed.

        With `by_segment`, a segment column of the model, the result has such figures under the name of each segment;
        its ``worst`` says which segment is the worst and whether by more than noise, its ``fairness`` how fairly a
        binary model treats them, and its ``notes`` what there is to know about all of them.

        Raises:
            ValueError: `by` is unknown, or the window is empty.
            StoreError: The store cannot be read.
        """
        window = TruthWindow(*read_bounds(start, end), *read_names(model, version), role, read_column(by))
        self.flush(_EXIT_SECONDS)
        if by_segment is not None:
            return self._measure_segments(window, by_segment)
        figures = measure_labelled(self._database, self._store.class_sets, window)
        if by == "predicted_at":
            figures |= coverage(figures["labelled"], count_predicted(self._database, window))
        notes = figures.pop(NOTES, []) + self._notes(figures["labelled"], window.model)
        return {**figures, NOTES: notes} if notes else figures

    def compare_versions(  # noqa: PLR0913
        self,
        start: Moment,
        end: Moment,
        *,
        model: str,
        baseline: str | None = None,
        challenger: str | None = None,
        difference: float | None = None,
    ) -> dict[str, Any]:
        """Compares two versions or roles of a model by their predictions with ``start <= predicted_at < end``.

        Predictions under the same ids are compared pair by pair (McNemar's test; of a regression the errors), others
        by two proportions. ``verdict`` is ``better``, ``worse``, ``no difference seen`` or ``not enough data``. It may
        be read at any time: of comparisons of equal versions fewer than 1 of 100 are ever called better or worse.
        ``p_value`` and ``interval`` are those of one look.

        ``no difference seen`` means that `difference` would have been found with a probability of 90 %.
        ``still_needed`` is how many more pairs, or labels of the challenger, that takes.

        Args:
            start: The start of the window.
            end: The end.
            model: The model's name.
            baseline: ``VERSION/ROLE``, a version, or a role; by default the primary, of several the earliest version.
            challenger: The same; by default the only other one.
            difference: What to look for: a difference of the share of right predictions, 0.02 by default; of a
                regression a share of the baseline's mean absolute error, 0.1 by default.

        Raises:
            ValueError: There are no such versions, or the window is empty.
            StoreError: The store cannot be read.
        """
        if difference is not None and not difference > 0:
            raise ValueError(f"the difference to look for must be above 0, not {difference}")
        window = TruthWindow(*read_bounds(start, end), *read_names(model, None), None, "predicted_at")
        self.flush(_EXIT_SECONDS)
        named = baseline, challenger
        return compare_versions(self._database, self._store.class_sets, window, named, difference)

    def compute_decay(  # noqa: PLR0913
        self,
        start: Moment,
        end: Moment,
        *,
        model: str,
        version: str | None = None,
        role: str | None = "primary",
        by: str = "predicted_at",
        figure: str | None = None,
        trained_at: Moment | None = None,
        limit: float | None = None,
    ) -> dict[str, Any]:
        """Returns a figure of each whole day before `end`, and its linear trend over the days with 100 labels or more.

        ``trend`` has the change a day with its 95 % interval, whether it ``is_worse`` than chance explains, and
        ``days_until_limit``. It is None with fewer than ten such days.

        Args:
            start: The start of the window.
            end: The end.
            model: The model's name.
            version: Its version; None for all of them.
            role: Its role; None for all of them.
            by: ``predicted_at`` or ``labeled_at``.
            figure: One of `semconv.FIGURES`; by default accuracy, exact match, MAE or NDCG.
            trained_at: When the model was trained; each day then has its age in days.
            limit: The value that the figure must not cross.

        Raises:
            ValueError: `by` or `figure` is unknown, or there is no whole day.
            StoreError: The store cannot be read.
        """
        check_figure(figure)
        window = TruthWindow(*read_bounds(start, end), *read_names(model, version), role, read_column(by))
        self.flush(_EXIT_SECONDS)
        measure = partial(measure_labelled, self._database, self._store.class_sets)
        found = measure_decay(measure, window, figure, None if trained_at is None else seconds(trained_at), limit)
        return {**found, "notes": self._notes(sum(day["labels"] for day in found["days"]), window.model)}

    def estimate_metrics(
        self, start: Moment, end: Moment, *, model: str, version: str | None = None, role: str | None = "primary"
    ) -> dict[str, Any]:
        """Estimates the figures of the predictions with ``start <= predicted_at < end``, before labels come.

        The probability behind each score is that of the training labels, which the model's profile keeps
        (`ReferenceProfile.fit(score=, label=)`). The estimate holds as long as a score means what it did in training.

        The result has ``accuracy``, ``precision``, ``recall``, ``f1`` and, of a binary model, ``auc`` with
        ``auc_bound``, the most that its binned scores can change it. ``intervals`` has the 95 % interval of the figures
        that labels will show, ``estimated`` the number of predictions. Of those with a label, ``labelled`` in number,
        ``gaps`` has estimated minus realised figure and its ``z``, the gap in standard errors. ``notes``, if there are
        any, say why nothing is estimated.

        Raises:
            ValueError: The window is empty.
            StoreError: The store cannot be read.
        """
        window = TruthWindow(*read_bounds(start, end), *read_names(model, version), role, "predicted_at")
        self.flush(_EXIT_SECONDS)
        return measure_expected(self._database, window)

    def _measure_segments(self, window: TruthWindow, column: str) -> SegmentFigures:
        found = measure_segments(self._database, self._store.class_sets, window, column)
        return SegmentFigures(found.figures, found.notes + self._notes(found.labelled, window.model))

    def _notes(self, labelled: int, model: str) -> list[str]:
        return list_notes(self._database, model, labelled, self._reporter.counts.failed)

    def read_outcomes(
        self, start: Moment, end: Moment, *, model: str, version: str | None = None, role: str | None = "primary"
    ) -> StoredOutcomes:
        """Returns outputs and labels of the predictions with ``start <= predicted_at < end``, labelled or not.

        Raises:
            StoreError: The store cannot be read, or the predictions are of several tasks.
        """
        self.flush(_EXIT_SECONDS)
        window = TruthWindow(seconds(start), seconds(end), *read_names(model, version), role, "predicted_at")
        return read_stored(self._database, window)

    def waiting(self, *, model: str | None = None, limit: int = 100) -> list[WaitingLabel]:
        """Lists labels that wait for their prediction, the oldest first, and why they wait.

        Args:
            model: Only those that may be for this model.
            limit: How many at most.

        Raises:
            StoreError: The store cannot be read.
        """
        self.flush(_EXIT_SECONDS)
        return list_waiting(self._database, None if model is None else name_text(model), limit)

    def models(self) -> list[tuple[str, str, str]]:
        """Returns name, version and role of every model that has predictions in the store.

        Raises:
            StoreError: The store cannot be read.
        """
        return list_models(self._database)

    def drain_first(self, drain: Callable[[float], object]) -> None:
        """Registers a function that hands over predictions still on their way here; `flush` and `close` call it first.

        Args:
            drain: Takes the seconds that it may last. Registering the same function again changes nothing.
        """
        if drain not in self._drains:
            self._drains.append(drain)

    def flush(self, timeout: float = _EXIT_SECONDS) -> bool:
        """Waits until the predictions so far are stored; False when that takes longer than `timeout` seconds."""
        left = self._drain(timeout)
        return self._writer.flush(left)

    def _drain(self, timeout: float) -> float:
        """Calls the drains; returns the seconds that are left."""
        deadline = time.monotonic() + timeout
        for drain in self._drains:
            _guard.call("ground_truth.drain", drain, max(0.0, deadline - time.monotonic()))
        return max(0.0, deadline - time.monotonic())

    def close(self, timeout: float = _EXIT_SECONDS) -> bool:
        """Stores what is queued and closes the store; safe to call twice. False when predictions were dropped."""
        _open_stores.pop(self._arguments, None)
        complete = self._writer.close(self._drain(timeout))
        _guard.call("ground_truth.close", self._database.close)
        return complete

    def _count_waiting(self) -> dict[str, int] | None:
        try:
            return count_waiting(self._database)
        except StoreError:
            return None

    def _expire(self) -> bool:
        """Deletes some of what is too old; returns whether there may be more."""
        if self._ttl is None:
            return False
        expired = expire(self._database, self._clock() - self._ttl)
        self._reporter.report_expired(expired)
        return expired.is_partial

    def _reset_after_fork(self) -> None:
        self._database.forget_connections()
        self._writer.reset_after_fork()
        self._reporter.reset_after_fork()


def _restore(kind: type[GroundTruth], url: str, queue_size: int, ttl: float | None, read_only: bool) -> GroundTruth:
    """Returns this process's store for one that came from another process or from a file.

    If the database cannot be reached, one line says so and each later transaction tries again.
    """
    known = _open_stores.get((url, queue_size, ttl, read_only))
    if type(known) is kind:
        return known
    token = _arriving.set(True)
    try:
        return kind(url, queue_size=queue_size, ttl=ttl, read_only=read_only)
    finally:
        _arriving.reset(token)


def _flush_all_at_exit() -> None:
    for truth in list(_truths):
        _guard.call("ground_truth.exit", truth.flush, _EXIT_SECONDS)


at_exit("ground_truth.exit", _flush_all_at_exit, order=1)  # after the shutdown, which hands over what is queued
