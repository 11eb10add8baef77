"""The hot path of own mode: a prediction that is its own span, begun and ended in as few steps as possible.

The decorator calls `FastBinding.begin` with the features. If the model and the row are simple enough, `begin` copies
the row, makes a `FastPrediction`, decides whether its trace is recorded, and puts it into the OTel context, where it is
the current span and the current prediction at once. The user's function runs. Then the decorator calls `_complete` with
the result: it takes the time, restores the context, and looks for a class and a score. If a span, an event or an
observer is wanted, `_enqueue` hands the worker a bare tuple of plain values, a `FastRecord`, which the worker renders
by a template. Last, duration, score and class are appended to three lists of the model's `CellSet`; the worker sorts
them into histogram buckets later, many at once. Nothing here takes a lock or builds a dictionary of attributes.

Everything else takes the general path, which records the same in more steps: an id of the caller's, a sensitive column,
an exception, an output that was set, a nested or wide row, a result without a class and a score.

`begin` and `_complete` spell out what would read better as calls, since each call costs as much as a clock. For the
same reason a function that is an attribute gets a local name before it is called: the interpreter would look it up as a
method each time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode

from otel_ml import _guard, semconv
from otel_ml._telemetry.contexts import attach, detach, get_current, reset
from otel_ml._telemetry.ports import Engine, State
from otel_ml._telemetry.records import Shape, SpanData, SpanEvent
from otel_ml.prediction._context import PREDICTION_KEY, PREDICTIONS_KEY, SPAN_KEY, RequestPredictions
from otel_ml.prediction._event import span_attributes
from otel_ml.prediction._noop import NoopPrediction
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._prediction import UNSET, Prediction
from otel_ml.prediction.boundary._result_names import SHARE_WORDS
from otel_ml.prediction.own._admission import FEW_FEATURES, Admission
from otel_ml.prediction.own._general_path import OwnBinding, OwnPrediction
from otel_ml.prediction.own._record_source import FastRecordSource
from otel_ml.prediction.own._stage import FastStage
from otel_ml.prediction.own._trace_sampling import LOW_64_BITS, SampledSpan
from otel_ml.prediction.own.span import FAST_KINDS, RANDOM_TRACE_ID

STAGE_SPANS_KEPT = 128
PENDING_BEFORE_WAKE = 4096
"""Pending predictions for which the worker is woken."""
PENDING_KEPT = 65_536
"""Pending predictions that the caller sorts into buckets itself, because the worker does not get to it."""
_REMOTE_PARENT = Shape.HAS_PARENT | Shape.PARENT_IS_REMOTE
_LOCAL_PARENT = Shape.HAS_PARENT
_NUMBERS = count()
_new = object.__new__


class FastBinding(FastRecordSource, Admission, OwnBinding):
    """A model bound to the engine's cells and to spans of ours; also the source of its fast records."""

    def __init__(self, state: State, policy: ModelPolicy, observers: Observers, engine: Engine) -> None:
        OwnBinding.__init__(self, state, policy, observers, engine)
        Admission.__init__(self)
        self.number = next(_NUMBERS)
        """Identifies this binding in the keys of the worker's templates."""
        is_plain = not policy.is_sensitive and not policy.describes
        self.takes_fast_path = is_plain and self.spec.id_source is None and self.spec.reads_mappings
        self.draw_number, self.draw_trace_id = engine.ids.prediction_number, engine.ids.trace_id
        self.draw_span_id = engine.ids.span_id
        rule = engine.sampling_rule
        self.root_bound = None if rule is None else rule.bound
        self.has_observers = observers.exist
        self.is_primary = self.spec.role == "primary"
        self.waits_for_row = observers.monitor is not None
        self.captures_all = policy.captures_all
        self.wants_every_event = policy.events == "all"
        self.wants_some_events = policy.events == "sampled"
        self.is_metrics_only = policy.events in ("off", "errors") and not self.has_observers
        """Whether a success that is not sampled emits metrics only."""
        self.now = engine.clock.perf_counter_ns
        self.time_ns = engine.clock.time_ns
        self.begun, self.elapsed_ns = self.cells.begun, self.cells.elapsed_ns
        self.add_score, self.add_class = self.cells.scores.append, self.cells.classes.append
        self.known_names: set[tuple[str, ...]] = set()

    def predict(self, features: Any, given_id: Any) -> FastPrediction:
        return FastPrediction(self, features, given_id)

    def begin(self, features: Any) -> Prediction:  # noqa: C901, PLR0912 - spelled out
        # Handlers are written out here and in `_complete`: a call of `_guard.call_two` costs as much as a clock.
        prediction = None
        try:
            if not self.takes_fast_path:
                return super().begin(features)
            row = features
            if features is not None and self.wants_features:
                row = self.copy_row(features)
                if row is None:
                    return super().begin(features)
            elif features is None and self.waits_for_row:
                return super().begin(None)
            before = context = get_current()
            prediction = _new(FastPrediction)
            prediction._binding = self
            prediction._features = row
            # To read a class attribute costs three times as much: what will be read is written first.
            prediction._is_fast = True
            prediction._sampled = False
            next(self.begun)
            bound = self.root_bound
            if not self.is_metrics_only:
                draw = self.draw_number
                prediction._number = draw()
                prediction._parent = None
                prediction._random = True
                prediction._stages = None
            if context or bound is None:
                prediction._decide(context)
            elif bound:
                draw = self.draw_trace_id
                trace_id = prediction._trace_id = draw()
                if trace_id & LOW_64_BITS < bound:
                    prediction._sampled = True
                    draw = self.draw_span_id
                    prediction._span_id = draw()
            if context:
                request = context.get(PREDICTIONS_KEY)
                if (
                    request is not None
                    and isinstance(request, RequestPredictions)
                    and request.wants(is_primary=self.is_primary)
                ):
                    # No other thread knows the prediction yet: the lock of `id` is not needed.
                    request.first_id = prediction._id = prediction._new_id()
                    request.is_primary = self.is_primary
                context = Context({**context, SPAN_KEY: prediction, PREDICTION_KEY: prediction})
            else:
                context = Context({SPAN_KEY: prediction, PREDICTION_KEY: prediction})
            now = self.now
            prediction._began_ns = now()
            prediction._token = attach(context)
            return prediction
        except Exception as error:  # noqa: BLE001 - handed to the guard
            if prediction is not None:  # counted as begun, perhaps current already, and not returned to anyone
                self.cells.mine().finished += 1
                if get_current().get(SPAN_KEY) is prediction:
                    attach(before)
            _guard.caught("prediction.begin", error)
            return NoopPrediction()

    def wake_worker(self) -> None:
        """Wakes the worker because many predictions are pending; sorts some here if it does not get to it."""
        self.engine.wake_worker()
        if len(self.elapsed_ns) >= PENDING_KEPT:
            self.cells.bucket_pending()


class ShareBinding(FastBinding):
    """A model whose results may have the probability of each class beside the score, which its labels need."""

    def begin(self, features: Any) -> Prediction:
        prediction = super().begin(features)
        if type(prediction) is FastPrediction:
            prediction.__class__ = SharePrediction
        return prediction


class FastPrediction(OwnPrediction, SampledSpan):
    """A prediction that is its own span. On the fast path `FastBinding.begin` makes it, without the constructor."""

    _binding: FastBinding
    _stages: list[SpanData] | None = None
    _number = 0
    """The id as a number; 0 before it was made."""
    _is_enqueued = False
    _is_fast = False
    """Whether it can still end on the fast path."""

    @property
    def name(self) -> str:
        """The span's name."""
        return self._given_name or self._binding.span_name

    def _complete(self, result: Any) -> None:  # noqa: C901 - spelled out
        try:
            binding = self._binding
            now = binding.now
            elapsed_ns = now() - self._began_ns
            token = self._token
            if token is not None:
                self._token = None
                try:
                    reset(token)
                except (ValueError, RuntimeError, TypeError):
                    detach(token)
            if type(result) is dict and self._is_fast:
                score, label = result.get("probability"), result.get("prediction")
                kind = type(label)
                texts = binding.class_texts.get(label) if kind is int or kind is str else None
                if texts is None:
                    texts = binding.find_texts(label)
                    if self._features is not None and not binding.wants_features:
                        binding.policy.warn_undeclared()  # in this branch, which is seldom taken
                if texts is not None and type(score) is float and 0.0 <= score <= 1.0:
                    wants_record = self._sampled or not binding.is_metrics_only
                    if wants_record and not self._enqueue(texts[0], score, elapsed_ns):
                        self._finish(result)
                        return
                    self._is_fast = False
                    self._finished = True
                    self._features = None
                    # A task that was started in here keeps the context: it must not keep all ancestors with it.
                    self._parent = None
                    pending = binding.elapsed_ns
                    pending.append(elapsed_ns)
                    add_score, add_class = binding.add_score, binding.add_class
                    add_score(score)
                    add_class(texts[1])
                    if len(pending) >= PENDING_BEFORE_WAKE:
                        binding.wake_worker()
                    return
        except Exception as error:  # noqa: BLE001 - handed to the guard
            if self._is_enqueued:  # the worker has its record: only the counts are missing
                if not self._finished:
                    self._finished = True
                    self._binding.cells.mine().finished += 1
            else:
                self._finish(result)
                self._detach()
            _guard.caught("prediction.complete", error)
            return
        self._finish(result)

    def _enqueue(self, label: str, score: float, elapsed_ns: int) -> bool:
        """Offers a `FastRecord` to the worker if one is wanted; False when the general path has to do it."""
        binding, sampled, features, row = self._binding, self._sampled, self._features, None
        wants_event = binding.wants_every_event or (
            binding.wants_some_events and (sampled or binding.policy.is_unsure(score))
        )
        if features is not None:
            if type(features) is not dict or len(features) > FEW_FEATURES:
                return False
            if binding.wants_features and (wants_event or binding.has_observers):
                row = features
        if not (sampled or wants_event or binding.has_observers):
            return True
        if self._span_id == 0:
            self._make_ids()
        parent: Any = self._parent
        shape = spans = 1 if sampled else 0
        parent_id = 0
        stages: tuple[SpanData, ...] = ()
        if self._stages is not None:
            stages = tuple(self._stages)  # a copy: a stage may end on another thread before the worker counts them
            spans += len(stages) if sampled else 0
        if self._random:
            shape |= RANDOM_TRACE_ID
        if parent is not None:
            if type(parent) in FAST_KINDS:
                shape |= _LOCAL_PARENT
                parent_id = parent._span_id
            else:
                shape |= _REMOTE_PARENT if parent.is_remote else _LOCAL_PARENT
                parent_id = parent.span_id
        self._is_enqueued = True
        offer, time_ns = binding.offer, binding.time_ns
        offer(
            (
                binding,
                shape,
                spans,
                1 if wants_event else 0,
                self._trace_id,
                self._span_id,
                parent_id,
                time_ns(),
                elapsed_ns,
                self._number or self._make_number(),
                label,
                score,
                row,
                stages,
            )
        )
        return True

    # --- the general path ------------------------------------------------------------------------------------------

    def set_output(self, prediction: Any = None, score: Any = None, *, batch: bool = False) -> None:
        self._is_fast = False
        super().set_output(prediction, score, batch=batch)

    def _finish(
        self, result: Any = UNSET, *, error: BaseException | str | None = None, duration: float | None = UNSET
    ) -> None:
        self._is_fast = False
        super()._finish(result, error=error, duration=duration)

    def _reset_after_fork(self) -> None:
        self._is_fast = False
        super()._reset_after_fork()

    def _span(self) -> Span:
        return self

    def _ids(self) -> tuple[int, int, int]:
        if self._span_id == 0:
            self._make_ids()
        return self._trace_id, self._span_id, self._flags()

    def _make_number(self) -> int:
        number = self._number = self._number or self._binding.engine.ids.prediction_number()
        return number

    def _new_id(self) -> str:
        return f"{self._make_number():032x}"

    def _open(self, context: Context) -> None:
        self._binding.cells.mine().started += 1
        self._decide(context)

    def is_recording(self) -> bool:
        return self._sampled and not self._finished

    @property
    def _withholds(self) -> bool:
        return self._binding.policy.is_sensitive

    def _end(self, outcome: Outcome) -> int:
        self._end_ns = outcome.end_ns
        if not self._sampled:
            self._parent = None
            return 0
        return 1 + len(self._stages or ())

    def _let_go(self) -> None:
        self._parent = None
        self._stages = None

    def _stage(self, name: str) -> AbstractContextManager[Any]:
        return nullcontext() if self._finished else FastStage(self, name)

    def _span_data(self, outcome: Outcome) -> list[SpanData]:
        attributes = span_attributes(self._binding.spec, outcome)
        if self._exemplar:
            attributes[semconv.EXEMPLAR] = True
        failure = outcome.failure
        status = None
        if failure is not None and not failure.cancelled:
            status = (StatusCode.ERROR, failure.message)
            if self._binding.policy.exceptions_on_spans:
                event = SpanEvent(semconv.EXCEPTION_EVENT, outcome.end_ns, failure.attributes())
                self._events = [*(self._events or []), event]
        data = self._data(attributes, status)
        self._parent = None  # a caller may keep this prediction, which must not keep its ancestors
        return [data, *(self._stages or [])]

    def _add_stage(self, data: SpanData) -> None:
        """Takes the span of a stage that has ended; beyond a limit only its duration is counted."""
        stages = self._stages
        if stages is None:
            self._stages = stages = []
        if self.is_recording() and len(stages) < STAGE_SPANS_KEPT:
            stages.append(data)


class SharePrediction(FastPrediction):
    """One that takes the general path if its result has the probability of each class."""

    def _complete(self, result: Any) -> None:
        if type(result) is dict and len(result) > 2 and _guard.attempt(SHARE_WORDS.isdisjoint, result) is not True:
            self._is_fast = False
        super()._complete(result)
