"""The hot path of own mode: a prediction that is its own span, begun and ended in as few steps as can be.

What an everyday prediction does is spelt out in `LightBinding.begin` and `LightPrediction.complete`, without the calls
that would read better: each costs as much as a clock. So does a call of an attribute that holds a function, which the
interpreter looks up as a method each time; it is called by a name of its own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, StatusCode, get_current_span

from otel_ml import _guard, semconv
from otel_ml._telemetry.contexts import attach, detach, get_current, reset
from otel_ml._telemetry.ports import Engine, State
from otel_ml._telemetry.records import Shape, SpanData
from otel_ml._values import CLASS_LIMIT, class_text
from otel_ml.prediction._context import PREDICTION_KEY, PREDICTIONS_KEY, SPAN_KEY, RequestPredictions
from otel_ml.prediction._features import LIGHT, scalar_row, weight_of
from otel_ml.prediction._outcome import Outcome, span_attributes
from otel_ml.prediction._prediction import UNSET, NoopPrediction, Prediction
from otel_ml.prediction.own._general_path import OwnBinding, OwnPrediction
from otel_ml.prediction.own._record_source import EverydaySource
from otel_ml.prediction.own._span import LIGHT_KINDS, RANDOM_TRACE_ID, LightSpan
from otel_ml.prediction.own._stage import LightStage

if TYPE_CHECKING:
    from otel_ml.prediction._model import Model

STAGE_SPANS_KEPT = 128
CLASS_TEXTS_KEPT = 128
FEW_FEATURES = 64
"""Features of an everyday prediction; wider rows take the general way, where their bytes are bounded."""
NOTED_BEFORE_HURRY = 4096
"""Noted predictions for which the worker is woken."""
NOTED_KEPT = 65_536
"""Noted predictions that the caller sorts into buckets itself, since the worker does not get to it."""
_AS_THEY_ARE = frozenset({float, bool, type(None)})
"""Types of values that are kept as they are; texts and whole numbers have limits to be checked."""
_LOW_64_BITS = (1 << 64) - 1
_REMOTE_PARENT = Shape.HAS_PARENT | Shape.PARENT_IS_REMOTE
_LOCAL_PARENT = Shape.HAS_PARENT
_NUMBERS = count()
_new = object.__new__


class LightBinding(EverydaySource, OwnBinding):
    """A model handle bound to the engine's cells and to light spans; the source of everyday records.

    An everyday prediction comes from the decorator, has no id of the caller's and no sensitive column; it ends without
    an error in a dict with a class and a score, and its features are a dict of scalars or are not wanted.
    """

    def __init__(self, model: Model, state: State, engine: Engine) -> None:
        super().__init__(model, state, engine)
        self.number = next(_NUMBERS)
        """Tells this binding's shapes from those of others in the worker's templates."""
        self.is_everyday = not model.is_sensitive and model.id_source is None and model.reads_mappings
        self.ids = engine.ids
        self.draw_number, self.draw_trace_id = engine.ids.prediction_number, engine.ids.trace_id
        self.draw_span_id = engine.ids.span_id
        self.rule = engine.sampling_rule
        self.root_bound = None if self.rule is None else self.rule.bound
        self.has_observers = model.has_observers
        self.wants_features = model.wants_features
        self.captures_all = model.captures_all
        self.wants_every_event = model.event_policy == "all"
        self.wants_some_events = model.event_policy == "sampled"
        self.tells_nothing = model.event_policy in ("off", "errors") and not self.has_observers
        """Whether nothing but the metrics is told of a prediction that is not sampled and went well."""
        self.now = engine.clock.perf_counter_ns
        self.time_ns = engine.clock.time_ns
        self.begun, self.elapsed_ns = self.cells.begun, self.cells.elapsed_ns
        self.note_score, self.note_class = self.cells.scores.append, self.cells.classes.append
        self.class_texts: dict[Any, tuple[str, str]] = {}
        """Canonical text and metric class of the classes seen, ints and texts only: True and 1.0 equal 1 as keys."""
        self.plain_kinds: tuple[type, ...] = ()
        """Types of the values of the last row that was kept as it is."""
        self.known_names: set[tuple[str, ...]] = set()
        """The names of clean rows: a service predicts from the same features again and again."""

    def predict(self, model: Model, features: Any, given_id: Any) -> LightPrediction:
        return LightPrediction(self, model, features, given_id)

    def begin(self, model: Model, features: Any) -> Prediction:  # noqa: C901, PLR0912 - spelt out
        # The handler stands here, and in `complete`, since a call of `_guard.call_two` costs as much as a clock.
        prediction = None
        try:
            if not self.is_everyday:
                return super().begin(model, features)
            row = features
            if features is not None and self.wants_features:
                row = self.row_of(features)
                if row is None:
                    return super().begin(model, features)
            before = context = get_current()
            prediction = _new(LightPrediction)
            prediction._binding = self
            prediction.model = model
            prediction._features = row
            # An attribute of the class costs three times one of the object: what will be read is written first.
            prediction._is_plain = True
            prediction._sampled = False
            next(self.begun)
            bound = self.root_bound
            if not self.tells_nothing:
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
                if trace_id & _LOW_64_BITS < bound:
                    prediction._sampled = True
                    draw = self.draw_span_id
                    prediction._span_id = draw()
            if context:
                holder = context.get(PREDICTIONS_KEY)
                if holder is not None and isinstance(holder, RequestPredictions) and holder.first_id is None:
                    # Nobody else knows it yet: the lock of `id` is not needed.
                    holder.first_id = prediction._id = prediction._new_id()
                context = Context({**context, SPAN_KEY: prediction, PREDICTION_KEY: prediction})
            else:
                context = Context({SPAN_KEY: prediction, PREDICTION_KEY: prediction})
            now = self.now
            prediction._began_ns = now()
            prediction._token = attach(context)
            return prediction
        except Exception as error:  # noqa: BLE001 - handed to the guard
            if prediction is not None:  # counted in, perhaps current already, and will not be handed out
                self.cells.mine().finished += 1
                if get_current().get(SPAN_KEY) is prediction:
                    attach(before)
            _guard.caught("prediction.begin", error)
            return NoopPrediction(model)

    def row_of(self, features: Any) -> dict[str, object] | None:
        """The copy of an everyday row before the wrapped code may change it; None for what takes the general way."""
        if type(features) is not dict or len(features) > FEW_FEATURES:
            return None
        row: dict[str, object] = features.copy()
        kinds = tuple(map(type, row.values()))
        if kinds != self.plain_kinds:  # as a rule they are those of the last row
            if _AS_THEY_ARE.issuperset(kinds):
                self.plain_kinds = kinds
            else:
                clean = scalar_row(features)
                return None if clean is None or weight_of(clean) > LIGHT else clean
        return row

    def texts_of(self, label: Any) -> tuple[str, str] | None:
        """Canonical text and metric class of a label; None for one that takes the general way."""
        if type(label) is not int and type(label) is not str:
            return None
        canonical = class_text(label)
        if canonical is None:
            return None
        texts = (canonical, self.class_label(canonical))
        if len(self.class_texts) < CLASS_TEXTS_KEPT and (not isinstance(label, str) or len(label) <= CLASS_LIMIT):
            self.class_texts[label] = texts
        return texts

    def wake_worker(self) -> None:
        """Much is noted: wakes the worker, and settles here if it does not get to it."""
        self.engine.wake_worker()
        if len(self.elapsed_ns) >= NOTED_KEPT:
            self.cells.bucket_pending()


class LightPrediction(OwnPrediction, LightSpan):
    """A prediction that is its own span. The everyday way to begin one is `LightBinding.begin`."""

    _stages: list[SpanData] | None = None
    _number = 0
    """The id as a number; 0 before it was made."""
    _trace_id = 0
    _span_id = 0
    _parent: SpanContext | LightSpan | None = None
    _is_told = False
    _is_plain = False
    """Whether it can still end in the everyday way."""

    def __init__(self, binding: LightBinding, model: Model, features: Any, given_id: Any = None) -> None:
        self._binding: LightBinding = binding
        super().__init__(binding, model, features, given_id)

    @property
    def name(self) -> str:
        """The span's name."""
        return self.given_name or self._binding.span_name

    def complete(self, result: Any) -> None:  # noqa: C901 - spelt out
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
            if type(result) is dict and self._is_plain:
                score, label = result.get("probability"), result.get("prediction")
                kind = type(label)
                texts = binding.class_texts.get(label) if kind is int or kind is str else None
                if texts is None:
                    texts = binding.texts_of(label)
                if texts is not None and type(score) is float and 0.0 <= score <= 1.0:
                    is_told = self._sampled or not binding.tells_nothing
                    if is_told and not self._tell(texts[0], score, elapsed_ns):
                        self.finish(result)
                        return
                    self._is_plain = False
                    self._finished = True
                    self._features = None
                    # Whoever keeps the context (a task that was started in here) must not keep all ancestors.
                    self._parent = None
                    noted = binding.elapsed_ns
                    noted.append(elapsed_ns)
                    note_score, note_class = binding.note_score, binding.note_class
                    note_score(score)
                    note_class(texts[1])
                    if len(noted) >= NOTED_BEFORE_HURRY:
                        binding.wake_worker()
                    return
        except Exception as error:  # noqa: BLE001 - handed to the guard
            if self._is_told:  # its record is on the way: only the counts are missing
                if not self._finished:
                    self._finished = True
                    self._binding.cells.mine().finished += 1
            else:
                self.finish(result)
                self.detach()
            _guard.caught("prediction.complete", error)
            return
        self.finish(result)

    def _tell(self, label: str, score: float, elapsed_ns: int) -> bool:
        """Offers an everyday prediction to the worker; False when it is none and has to take the general way."""
        binding, sampled, features, row = self._binding, self._sampled, self._features, None
        wants_event = binding.wants_every_event or (
            binding.wants_some_events and (sampled or self.model.is_unsure(score))
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
        shape, parent_id = 1 if sampled else 0, 0
        # A copy: a stage may end on another thread between the count and the worker.
        stages = () if self._stages is None else tuple(self._stages)
        if self._random:
            shape |= RANDOM_TRACE_ID
        if parent is not None:
            if type(parent) in LIGHT_KINDS:
                shape |= _LOCAL_PARENT
                parent_id = parent._span_id
            else:
                shape |= _REMOTE_PARENT if parent.is_remote else _LOCAL_PARENT
                parent_id = parent.span_id
        self._is_told = True
        offer, time_ns = binding.offer, binding.time_ns
        offer(
            (
                binding,
                self.model,
                shape,
                1 + len(stages) if sampled else 0,
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

    # --- the general way ------------------------------------------------------------------------------------------

    def set_output(self, prediction: Any = None, score: Any = None, *, batch: bool = False) -> None:
        self._is_plain = False
        super().set_output(prediction, score, batch=batch)

    def finish(
        self, result: Any = UNSET, *, error: BaseException | str | None = None, duration: float | None = None
    ) -> None:
        self._is_plain = False
        super().finish(result, error=error, duration=duration)

    def leave_to_parent(self) -> None:
        self._is_plain = False
        super().leave_to_parent()

    def _span(self) -> Span:
        return self

    def get_span_context(self) -> Any:
        if self._span_id == 0:
            self._make_ids()
        return super().get_span_context()

    def _ids(self) -> tuple[int, int, int]:
        if self._span_id == 0:
            self._make_ids()
        return self._trace_id, self._span_id, self._flags()

    def _make_ids(self) -> None:
        """Ids that were not needed for the decision, of a prediction that is not sampled."""
        if self._trace_id == 0:
            self._trace_id = self._binding.ids.trace_id()
        self._span_id = self._binding.ids.span_id()

    def _make_number(self) -> int:
        number = self._number = self._number or self._binding.ids.prediction_number()
        return number

    def _new_id(self) -> str:
        return f"{self._make_number():032x}"

    def _open(self, context: Context) -> None:
        self._binding.cells.mine().started += 1
        self._decide(context)

    def _decide(self, context: Context) -> None:
        """Finds the parent and asks the rule, or the sampler, whether this trace is recorded."""
        binding = self._binding
        rule = binding.rule
        around: Any = context.get(SPAN_KEY)
        followed = False
        if type(around) in LIGHT_KINDS:
            followed = self._below_ours(around)
        elif around is not None:
            parent = get_current_span(context).get_span_context()
            followed = parent.is_valid and self._below(parent)
        if rule is None:
            self._ask_sampler(context)
        elif self._trace_id and rule.follows_parent:
            self._sampled = followed
        elif rule.bound:
            self._trace_id = self._trace_id or binding.ids.trace_id()
            self._sampled = self._trace_id & _LOW_64_BITS < rule.bound
        if self._sampled and not self._span_id:
            self._span_id = binding.ids.span_id()

    def _below(self, parent: SpanContext) -> bool:
        """Becomes a child; whether the parent is sampled."""
        self._parent = parent
        self._trace_id = parent.trace_id
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        if parent.trace_state:
            self._trace_state = parent.trace_state
            self._is_plain = False
        return bool(parent.trace_flags & 1)

    def _below_ours(self, parent: LightSpan) -> bool:
        """`_below` for a span of ours, whose `SpanContext` costs more than the rest and is not needed."""
        if parent._span_id == 0:
            parent.get_span_context()  # makes the ids of a prediction that is not sampled
        self._parent = parent
        self._trace_id = parent._trace_id
        self._random = parent._random
        if parent._trace_state:
            self._trace_state = parent._trace_state
            self._is_plain = False
        return parent._sampled

    def _ask_sampler(self, context: Context) -> None:
        binding = self._binding
        if not self._trace_id:
            self._trace_id = binding.ids.trace_id()
        self._span_id = binding.ids.span_id()
        decision = binding.engine.sample(context, self._trace_id, self.name, binding.attributes, [])
        self._sampled = decision.sampled
        added = {key: value for key, value in decision.attributes.items() if key not in binding.attributes}
        if added:
            self.set_attributes(added)

    def is_recording(self) -> bool:
        return self._sampled and not self._finished

    def _end(self, outcome: Outcome) -> None:
        self._end_ns = outcome.end_ns
        self.span_count = (1 + len(self._stages or ())) if self._sampled else 0
        if not self._sampled:
            self._parent = None

    def _let_go(self) -> None:
        super()._let_go()
        self._parent = None
        self._stages = None

    def _stage(self, name: str) -> AbstractContextManager[Any]:
        return nullcontext() if self._finished else LightStage(self, name)

    def _span_data(self, outcome: Outcome) -> list[SpanData]:
        attributes = span_attributes(self.model, outcome)
        if self._exemplar:
            attributes[semconv.EXEMPLAR] = True
        failure = outcome.failure
        status = None
        if failure is not None and not failure.cancelled:
            status = (StatusCode.ERROR, failure.message)
            self._events = [*(self._events or []), (semconv.EXCEPTION_EVENT, outcome.end_ns, failure.attributes())]
        data = self._data(attributes, status)
        self._parent = None  # whoever keeps this prediction must not keep its ancestors
        return [data, *(self._stages or [])]

    def add_stage(self, data: SpanData) -> None:
        """Takes the span of a stage that has ended; beyond a limit only its duration is counted."""
        stages = self._stages
        if stages is None:
            self._stages = stages = []
        if self.is_recording() and len(stages) < STAGE_SPANS_KEPT:
            stages.append(data)
