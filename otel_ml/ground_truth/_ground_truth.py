"""`GroundTruth`: takes predictions and labels, emits live counts, computes exact figures."""

from __future__ import annotations

import datetime as dt
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics
from opentelemetry._logs import get_logger

from otel_ml import _guard, _process, semconv
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._process_exit import at_exit
from otel_ml._values import class_text, line, number
from otel_ml.ground_truth._evaluator import Evaluator
from otel_ml.ground_truth._records import Joined, LabelOutcome, State, StoredLabel, seconds
from otel_ml.ground_truth._rows import ID_LENGTH, to_row
from otel_ml.ground_truth._scores import evaluate
from otel_ml.ground_truth._store import Store, StoreError
from otel_ml.ground_truth._writer import BatchWriter

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.metrics import Meter

QUEUE_SIZE: Final = 10_000
"""Predictions that may wait to be written; more are dropped and counted."""
_CLASSES_NAMED: Final = 10
"""Declared classes that a log line names."""
_EXIT_SECONDS: Final = 5.0
_CHUNK: Final = 500

_truths: weakref.WeakSet[GroundTruth] = weakref.WeakSet()
_of_url: weakref.WeakValueDictionary[tuple[str, int, float | None], GroundTruth] = weakref.WeakValueDictionary()
"""The stores that are open, by what travels of them."""
_arriving: ContextVar[bool] = ContextVar("otel_ml_arriving", default=False)
"""Whether a store is made of what another process sent: then it need not be reachable at once."""


class GroundTruth:
    """Joins predictions with the labels that arrive later, exactly once over all processes that share the store.

    Emits ``ml.eval.outcomes``, ``ml.eval.score_bin``, ``ml.eval.labels``, ``ml.eval.label.lag``, for regressions
    ``ml.eval.predictions``, ``ml.eval.absolute_error`` and ``ml.eval.squared_error``, and the event ``ml.label`` with
    the trace and span id of the prediction. The store holds no features. It is sent to another process as its URL, with
    the password if there is one.

    Args:
        url: ``sqlite:///predictions.db`` or ``postgresql+psycopg://...``.
        meter: Where the counts go; by default the global one.
        logger: Where the events go; by default the global one.
        queue_size: Predictions that may wait to be written.
        ttl: Seconds after which predictions and waiting labels are deleted; None keeps them.
        clock: Seconds since the epoch.

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
    ) -> None:
        self._clock = clock
        self._ttl = ttl
        self._arguments = (url, queue_size, ttl)
        self._drains: list[Callable[[float], object]] = []
        self._store = Store(url)
        try:
            self._store.open()
        except StoreError as error:
            if not _arriving.get():
                raise
            _warn_not_stored(error)
        self._evaluator = Evaluator(
            meter if meter is not None else metrics.get_meter(semconv.SCOPE),
            logger if logger is not None else get_logger(semconv.SCOPE),
        )
        interval = 60.0 if ttl is None else max(min(ttl / 10, 3600.0), 1.0)
        self._writer = BatchWriter(self._write, size=queue_size, idle=self._expire, idle_interval=interval)
        _truths.add(self)
        _of_url[self._arguments] = self
        _process.in_child("ground_truth.fork", self._reset_after_fork)

    def __copy__(self) -> GroundTruth:
        return self  # a store is shared, as a file is

    def __deepcopy__(self, _: dict[int, Any]) -> GroundTruth:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), *self._arguments)

    @property
    def dropped(self) -> int:
        """Predictions that were not stored because the queue was full or the store unreachable until the end."""
        return self._writer.dropped

    def log_prediction(self, prediction: LoggedPrediction) -> None:
        """Queues a prediction to be stored. Never blocks, never raises; with a full queue it is dropped and counted."""
        if not self._writer.offer(prediction):
            _guard.warn_once(
                "ground_truth.queue",
                "otel-ml: the queue of the prediction store is full: predictions are dropped, not stored",
            )

    def record_label(self, prediction_id: str, label: object, at: float | dt.datetime | None = None) -> State:
        """Gives a prediction its true label; the first one counts. Blocks for one transaction; never raises.

        Args:
            prediction_id: The id of the prediction, which may not be stored yet. Row *i* of a batch is
                ``<id>.<i>``; the row of a batch of one also takes labels under the bare id.
            label: The true class or number.
            at: When the label became known; now by default.

        Returns:
            ``matched``; ``waiting`` for its prediction; ``duplicate`` of the same label; ``revised`` when another label
            came first: that one stays, this one is counted as revised and not stored; ``failed`` when nothing was
            stored, for example because the label is not a declared class: the log says why.
        """
        return self._record([(prediction_id, label, at)])[0]

    def record_labels(
        self, labels: Iterable[tuple[str, object] | tuple[str, object, float | dt.datetime | None]]
    ) -> dict[State, int]:
        """Records many labels, each ``(prediction_id, label)`` or ``(prediction_id, label, at)``; counts by state."""
        states: Counter[State] = Counter()
        stream = iter(labels)
        while chunk := list(islice(stream, _CHUNK)):
            states.update(self._record(chunk))
        return dict(states)

    def compute_metrics(
        self,
        start: float | dt.datetime,
        end: float | dt.datetime,
        *,
        model: str,
        version: str | None = None,
        by: str = "labeled_at",
    ) -> dict[str, Any]:
        """The exact figures of the labelled predictions with ``start <= moment < end``; None where undefined.

        Classes: ``count, labelled, accuracy, precision, recall, f1, auc, positive, per_class``; regression: ``count,
        labelled, mae, rmse, r2, bias``. ``labelled`` counts the predictions with a label, ``count`` those of them that
        also have a predicted class (or two numbers); the AUC needs only the score. By ``predicted_at`` also
        ``predicted``, the predictions in the window, and ``coverage``, the share of them with a label. As in
        scikit-learn, but undefined is None.

        Raises:
            ValueError: `by` is unknown, or the window is empty.
            StoreError: The store cannot be read.
        """
        if by not in {"labeled_at", "predicted_at"}:
            raise ValueError(f"by must be 'labeled_at' or 'predicted_at', not {by!r}")
        first, last = seconds(start), seconds(end)
        if first >= last:
            raise ValueError(f"the window ends at {end} before it starts at {start}")
        self.flush(_EXIT_SECONDS)
        pairs = self._store.labelled(first, last, model=model, version=version, by=by)
        figures = evaluate(pairs)
        if by == "predicted_at":
            predicted = self._store.count(first, last, model=model, version=version)
            figures["predicted"] = predicted
            figures["coverage"] = len(pairs) / predicted if predicted else None
        return figures

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
        """Stores what is queued and closes the store; safe twice. False when predictions were dropped."""
        _of_url.pop(self._arguments, None)
        complete = self._writer.close(self._drain(timeout))
        _guard.call("ground_truth.close", self._store.close)
        return complete

    def _record(self, labels: Sequence[Sequence[Any]]) -> list[State]:
        states: list[State] = ["failed"] * len(labels)
        plain = {place: label for place, raw in enumerate(labels) if (label := self._label(raw)) is not None}
        if len(plain) < len(labels):
            _guard.warn_once("ground_truth.label", "otel-ml: a label without an id or a value was not recorded")
        if not plain:
            return states
        try:
            found = self._store.label(list(plain.values()))
        except StoreError as error:
            _guard.report("ground_truth.label", error)
            _guard.warn_once(f"ground_truth.label.{error}", f"otel-ml: labels were not recorded: {error}")
            return states
        for place, outcome in zip(plain, found, strict=True):
            states[place] = outcome.state
            self._report(outcome)
        return states

    def _report(self, outcome: LabelOutcome) -> None:
        """Counts the state of a label, and logs what the caller could not find out otherwise."""
        state, label, prediction = outcome.state, outcome.label, outcome.prediction
        if outcome.names_batch:
            _warn_of_batch()
        if state == "failed" and prediction is not None:
            declared = prediction.classes or ()
            some = ", ".join(declared[:_CLASSES_NAMED]) + (", ..." * (len(declared) > _CLASSES_NAMED))
            _guard.warn_once(
                f"ground_truth.classes.{prediction.model}",
                f"otel-ml: the label {label.label!r} is not a declared class of model {prediction.model!r} "
                f"({some}): such labels are not recorded",
            )
        elif state == "matched" and prediction is not None:
            self._evaluator.count_joined(Joined(prediction, label))
        elif state != "failed":
            self._evaluator.count_state(state, prediction)

    @_guard.guarded("ground_truth.read_label")
    def _label(self, raw: Sequence[Any]) -> StoredLabel | None:
        name, value = line(raw[0], ID_LENGTH), class_text(raw[1])
        at = raw[2] if len(raw) > 2 else None
        if not name or value is None:
            return None
        return StoredLabel(name, value, number(raw[1]), self._clock() if at is None else seconds(at))

    def _write(self, predictions: Sequence[LoggedPrediction]) -> bool:
        """Stores a batch; False when the store is unreachable for now."""
        found = (_guard.call("ground_truth.read", to_row, prediction) for prediction in predictions)
        rows = [row for row in found if row is not None]
        try:
            outcomes = self._store.write(rows)
        except StoreError as error:
            _guard.report("ground_truth.write", error)
            _warn_not_stored(error)
            if error.is_transient:
                return False
            if len(rows) == 1:
                self._writer.dropped += 1
                return True
            # one row that the database refuses must not take the others with it
            return not [prediction for prediction in predictions if not self._write([prediction])]
        self._writer.dropped += len(predictions) - len(rows)
        for row in rows:
            self._evaluator.expect(row.prediction)
        for outcome in outcomes:
            if outcome.state == "waiting":  # it was counted when it came
                _warn_of_batch()
            else:
                self._report(outcome)
        return True

    def _expire(self) -> None:
        if self._ttl is not None:
            self._store.expire(self._clock() - self._ttl)

    def _reset_after_fork(self) -> None:
        self._store.forget_connections()
        self._writer.reset_after_fork()
        self._evaluator.reset_after_fork()


def _restore(kind: type[GroundTruth], url: str, queue_size: int, ttl: float | None) -> GroundTruth:
    """Returns the store of this process for what arrived from another one or from a file.

    If the database cannot be reached, one line says so and each later transaction tries again.
    """
    known = _of_url.get((url, queue_size, ttl))
    if type(known) is kind:
        return known
    token = _arriving.set(True)
    try:
        return kind(url, queue_size=queue_size, ttl=ttl)
    finally:
        _arriving.reset(token)


def _warn_not_stored(error: StoreError) -> None:
    _guard.warn_once(f"ground_truth.write.{error}", f"otel-ml: predictions are not stored yet: {error}")


def _warn_of_batch() -> None:
    _guard.warn_once(
        "ground_truth.batch",
        "otel-ml: a label names a batch of several rows, and waits: "
        "label each row under its own id, <id>.0, <id>.1, ...",
    )


def _flush_all_at_exit() -> None:
    for truth in list(_truths):
        _guard.call("ground_truth.exit", truth.flush, _EXIT_SECONDS)


at_exit("ground_truth.exit", _flush_all_at_exit, order=1)  # after the shutdown, which hands over what is queued
