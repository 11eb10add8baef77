"""The hot path of own mode: a prediction that is its own span, begun and ended in as few steps as can be."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import INVALID_SPAN, INVALID_SPAN_CONTEXT, Span, StatusCode, get_current_span
from opentelemetry.trace import set_span_in_context as set_span

from otel_ml import _guard, semconv
from otel_ml._telemetry.cells import Exemplar, HistogramCell, ModelCells
from otel_ml._telemetry.ports import Compact, Engine, EventData, SpanData, State
from otel_ml._values import class_text
from otel_ml.prediction._context import PREDICTION_KEY, PREDICTIONS_KEY, RequestPredictions
from otel_ml.prediction._failure import describe
from otel_ml.prediction._features import scalar_row
from otel_ml.prediction._outcome import Outcome, event, span_attributes
from otel_ml.prediction._outputs import Output
from otel_ml.prediction._own import OwnBinding, OwnPrediction
from otel_ml.prediction._span import RANDOM_TRACE_ID, LightSpan

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from otel_ml.prediction._model import Model

STAGE_SPANS_KEPT = 128
CLASS_TEXTS_KEPT = 128
ID_LENGTH = 32
"""Length of an id of ours: a caller's own of another length takes the general way."""
_AS_THEY_ARE = frozenset({float, bool, type(None)})
"""Types of values that are kept as they are; texts and whole numbers have limits to be checked."""
_LOW_64_BITS = (1 << 64) - 1
_NUMBERS = count()
_ROOT = Context()
(_SPAN_KEY,) = set_span(INVALID_SPAN, _ROOT)
"""Where the API keeps the current span; read off its own public function."""


class LightBinding(OwnBinding):
    """A model handle bound to the engine's cells and to light spans."""

    def __init__(self, model: Model, state: State, engine: Engine) -> None:
        super().__init__(model, state, engine)
        self.is_sensitive = model.is_sensitive
        self.number = next(_NUMBERS)
        """Tells this binding's shapes from those of others in the worker's templates."""
        self.ids = engine.ids
        self.rule = engine.sampling_rule
        self.root_bound = None if self.rule is None else self.rule.bound
        self.observes = model.has_observers
        self.wants_features = model.wants_features
        self.event_policy = model.event_policy
        self.reads_mappings = model.reads_mappings
        self.now = engine.clock.perf_counter_ns
        self.cells_by_thread = self.cells.by_thread
        self.class_texts: dict[Any, tuple[str, str]] = {}
        """Canonical text and metric class of the classes seen, ints and texts only: True and 1.0 equal 1 as keys."""
        self.names: dict[str, object] = {}
        """Names of the last everyday row: merging into them checks a row's names and keeps ours."""

    def predict(self, model: Model, features: Any, given_id: Any) -> LightPrediction:
        return LightPrediction(self, model, features, given_id)

    def begin(self, model: Model, features: Any) -> LightPrediction:
        prediction = LightPrediction(self, model, features)
        prediction.begin_now()
        return prediction

    def texts_of(self, label: Any) -> tuple[str, str] | None:
        """Canonical text and metric class of a label; None for one that takes the general way."""
        if type(label) is not int and type(label) is not str:
            return None
        canonical = class_text(label)
        if canonical is None:
            return None
        texts = (canonical, self.class_label(canonical))
        if len(self.class_texts) < CLASS_TEXTS_KEPT:
            self.class_texts[label] = texts
        return texts

    def row_of(self, features: dict[Any, object]) -> dict[str, object] | None:
        """A copy of a mapping of scalars; None for one that takes the general way."""
        row = self.names | features
        if len(row) == len(features) and _AS_THEY_ARE.issuperset(map(type, row.values())):
            return row
        copied = scalar_row(features)
        if copied is not None:
            self.names = dict.fromkeys(copied)
        return copied


class LightPrediction(OwnPrediction, LightSpan):
    """A prediction that is its own span.

    `begin_now` and `complete_now` do what `start`, `attach`, `finish` and `detach` do, for the everyday case in one go:
    no error, a result that is a mapping with a class and a score, features that are a mapping of scalars or not wanted.
    """

    _stages: list[SpanData] | None = None
    _told_now: tuple[str, float, int] | None = None
    """Class text, score and nanoseconds of a prediction that ended in the everyday way."""
    _row: dict[str, object] | None = None
    _trace_id = 0
    _span_id = 0
    _parent = INVALID_SPAN_CONTEXT

    def __init__(self, binding: LightBinding, model: Model, features: Any, given_id: Any = None) -> None:
        self._binding: LightBinding = binding
        self.model = model
        self._features = features
        if given_id is not None or model.id_source is not None:
            _guard.call("prediction.id", self._choose_id, given_id)

    @property
    def name(self) -> str:
        """The span's name."""
        return self.given_name or self._binding.span_name

    def begin(self) -> None:
        _guard.call("prediction.begin", self.begin_now)

    def complete(self, result: Any) -> None:
        if not _guard.run("prediction.complete", LightPrediction.complete_now, self, result):
            self.finish(result)

    def begin_now(self) -> None:
        """Begins and makes current; may raise, which `begin` and `Model.begin` take care of."""
        binding = self._binding
        if self._began_ns >= 0 or binding.is_sensitive:
            if self._began_ns >= 0:
                self.start()  # which says that this is the second time
                return
            self._note_secrets()
        self._began_ns = binding.now()
        (binding.cells_by_thread.get(get_ident()) or binding.cells.mine()).started += 1
        context = get_current()
        if context:
            self._decide(context)
            self._token = attach(Context({**context, _SPAN_KEY: self, PREDICTION_KEY: self}))
            holder = context.get(PREDICTIONS_KEY)
            if holder is not None and isinstance(holder, RequestPredictions) and holder.first_id is None:
                holder.first_id = self.id
            return
        if binding.root_bound is None:
            self._decide(context)
        elif binding.root_bound:
            self._trace_id = binding.ids.trace_id()
            if self._trace_id & _LOW_64_BITS < binding.root_bound:
                self._sampled = True
                self._span_id = binding.ids.span_id()
        self._token = attach(Context({_SPAN_KEY: self, PREDICTION_KEY: self}))

    def complete_now(self, result: Any) -> bool:
        """Ends the everyday case; False when the general way has to. May raise, which `complete` takes care of."""
        binding = self._binding
        elapsed = binding.now() - self._began_ns
        if self._token is not None:
            detach(self._token)
            self._token = None
        if (
            type(result) is not dict
            or self._finished
            or self._began_ns < 0
            or self._output is not None
            or not binding.reads_mappings
        ):
            return False
        score, label, features = result.get("probability"), result.get("prediction"), self._features
        if type(score) is not float or not 0.0 <= score <= 1.0 or (type(features) is not dict and features is not None):
            return False
        kind = type(label)
        texts = binding.class_texts.get(label) if kind is int or kind is str else None
        if texts is None and (texts := binding.texts_of(label)) is None:
            return False
        sampled, policy = self._sampled, binding.event_policy
        wants_event = policy == "all" or (policy == "sampled" and (sampled or self.model.is_unsure(score)))
        if features is not None and binding.wants_features and (wants_event or binding.observes):
            self._row = _guard.attempt(binding.row_of, features)
            if self._row is None:
                return False
        self._finished = True
        self._features = None
        cells = binding.cells_by_thread.get(get_ident()) or binding.cells.mine()
        cells.finished += 1
        label = texts[1]
        if label in cells.classes:
            cells.classes[label] += 1
        else:
            cells.classes[label] = 1
        buckets = cells.record_everyday(elapsed / 1e9, score)
        if sampled or wants_event or binding.observes:
            self._told_now = (texts[0], score, elapsed)
            self.event_count = int(wants_event)
            self._offer(cells, buckets)
        return True

    def _offer(self, cells: ModelCells, buckets: tuple[int, int]) -> None:
        """Draws the exemplars and offers the everyday prediction to the worker."""
        binding, told = self._binding, self._told_now
        if told is None:
            return
        self._end_ns = binding.clock.time_ns()
        self._start_ns = self._end_ns - told[2]
        if self._sampled:
            self.span_count = 1 if self._stages is None else 1 + len(self._stages)
            if binding.exemplars:
                if buckets[0] not in cells.durations.exemplars:
                    self._draw(cells.durations, buckets[0], told[2] / 1e9)
                if buckets[1] not in cells.scores.exemplars:
                    self._draw(cells.scores, buckets[1], told[1])
        self._observes = binding.observes
        binding.offer(self)

    def _draw(self, cell: HistogramCell, bucket: int, value: float) -> None:
        exemplar = Exemplar(value, self._end_ns, self._trace_id, self._span_id)
        self._exemplar = cell.offer(bucket, exemplar) or self._exemplar

    # --- the general way ------------------------------------------------------------------------------------------

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

    def _open(self, context: Context) -> None:
        self._binding.cells.mine().started += 1
        self._decide(context)

    def _decide(self, context: Context) -> None:
        """Finds the parent and asks the rule, or the sampler, whether this trace is recorded."""
        binding = self._binding
        rule = binding.rule
        if context.get(_SPAN_KEY) is not None:
            parent = get_current_span(context).get_span_context()
            if parent.is_valid:
                self._below(parent)
        if rule is None:
            self._ask_sampler(context)
        elif self._trace_id and rule.follows_parent:
            self._sampled = bool(self._parent.trace_flags & 1)
        elif rule.bound:
            self._trace_id = self._trace_id or binding.ids.trace_id()
            self._sampled = self._trace_id & _LOW_64_BITS < rule.bound
        if self._sampled and not self._span_id:
            self._span_id = binding.ids.span_id()

    def _below(self, parent: Any) -> None:
        self._parent = parent
        self._trace_id = parent.trace_id
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        self._trace_state = parent.trace_state

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

    def _stage(self, name: str) -> AbstractContextManager[Any]:
        return nullcontext() if self._finished else LightStage(self, name)

    def _told(self) -> Outcome | None:
        """The outcome, made of what the everyday way kept; called on the worker."""
        if self._result is not None or self._told_now is None:
            return self._result
        label, score, elapsed = self._told_now
        return Outcome(
            prediction_id=self.id,
            row_ids=None,
            rows=None,
            output=Output(None, [label], [None], [score]),
            features=self._row,
            failure=None,
            duration=elapsed / 1e9,
            end_ns=self._end_ns,
        )

    def compact(self) -> Compact | None:
        """The few values of an everyday prediction that nobody has added anything to."""
        told = self._told_now
        if told is None or not self._is_plain:
            return None
        prediction_id = self._id or self.id
        if len(prediction_id) != ID_LENGTH or self._trace_state or not prediction_id.isascii():
            return None
        label, score, elapsed = told
        if self._span_id == 0:
            self._make_ids()
        parent, flags, shape = self._parent, self._flags(), int(self._exemplar)
        if parent is not INVALID_SPAN_CONTEXT:
            shape |= 2 | int(parent.is_remote) << 2
        binding = self._binding
        return Compact(
            (binding.number, shape, flags, label),
            self._trace_id,
            self._span_id,
            parent.span_id,
            flags,
            self._start_ns,
            self._end_ns,
            prediction_id,
            score,
            elapsed / 1e9,
            self.model.body_of(self._row, label, score) if self.event_count else b"",
            self._sampled,
            self.event_count == 1,
            self._stages or (),
        )

    def prototype(self, values: Compact) -> tuple[SpanData, EventData]:
        """The span and the event of this prediction with other values, in the general way."""
        told = self._told_now
        outcome = Outcome(
            prediction_id=values.prediction_id,
            row_ids=None,
            rows=None,
            output=Output(None, [told[0] if told else ""], [None], [values.score]),
            features=None,
            failure=None,
            duration=values.duration,
            end_ns=values.end_ns,
        )
        (span, *_) = self._span_data(outcome)
        ids = (values.trace_id, values.span_id, self._flags())
        span = replace(
            span,
            trace_id=values.trace_id,
            span_id=values.span_id,
            parent_span_id=values.parent_span_id,
            start_ns=values.start_ns,
            end_ns=values.end_ns,
        )
        return span, replace(event(self.model, outcome, ids), body=values.body.decode())

    def _span_data(self, outcome: Outcome) -> list[SpanData]:
        attributes = span_attributes(self.model, outcome)
        if self._exemplar:
            attributes[semconv.EXEMPLAR] = True
        failure = outcome.failure
        status = None
        if failure is not None and not failure.cancelled:
            status = (StatusCode.ERROR, failure.message)
            self._events = [*(self._events or []), (semconv.EXCEPTION_EVENT, outcome.end_ns, failure.attributes())]
        return [self._data(attributes, status), *(self._stages or [])]

    def add_stage(self, data: SpanData) -> None:
        """Takes the span of a stage that has ended; beyond a limit only its duration is counted."""
        stages = self._stages
        if stages is None:
            self._stages = stages = []
        if self.is_recording() and len(stages) < STAGE_SPANS_KEPT:
            stages.append(data)


class LightStage(LightSpan):
    """One stage of a `LightPrediction`."""

    _token: Any = None
    _began_ns = 0

    def __init__(self, prediction: LightPrediction, name: str) -> None:
        self._prediction = prediction
        self.given_name = name
        parent = get_current_span().get_span_context()
        self._parent = parent
        self._trace_id = parent.trace_id
        self._span_id = prediction.binding.engine.ids.span_id()
        self._sampled = bool(parent.trace_flags & 1)
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)

    @property
    def withholds(self) -> bool:
        """Whether texts of exceptions stay in the process."""
        return self._prediction.withholds

    def __enter__(self) -> Self:
        _guard.call("stage.start", self._begin)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _guard.call("stage.finish", self._finish, error)

    def _begin(self) -> None:
        clock = self._prediction.binding.clock
        self._began_ns = clock.perf_counter_ns()
        self._start_ns = clock.time_ns()
        context = get_current()
        self._token = attach(Context({**context, _SPAN_KEY: self}))

    def _finish(self, error: BaseException | None) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        detach(token)
        binding = self._prediction.binding
        elapsed_ns = binding.clock.perf_counter_ns() - self._began_ns
        self._end_ns = self._start_ns + elapsed_ns
        binding.count_stage(self.name, elapsed_ns / 1e9, _ROOT)
        if self._sampled:
            self._prediction.add_stage(self._finished(error))
        self._live = False

    def _finished(self, error: BaseException | None) -> SpanData:
        attributes: dict[str, Any] = {**self._prediction.binding.attributes, semconv.STAGE_NAME: self.name}
        status = None
        if error is not None:
            failure = describe(error)
            attributes[semconv.ERROR_TYPE] = failure.type
            status = None if failure.cancelled else (StatusCode.ERROR, "")
        return self._data(attributes, status)
