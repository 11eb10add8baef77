"""Predictions in own mode: counted in per-thread cells, told to the worker as one compact record."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Span, StatusCode, get_current_span, set_span_in_context

from otel_ml import _guard, semconv
from otel_ml._telemetry.cells import Exemplar, HistogramCell, Identity, ModelCells
from otel_ml._telemetry.ports import Engine, EventData, SpanData, State
from otel_ml.prediction._binding import Binding
from otel_ml.prediction._failure import describe
from otel_ml.prediction._outcome import Outcome, event, span_attributes
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._span import RANDOM_TRACE_ID, LightSpan
from otel_ml.prediction._stock import StockSpans

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from otel_ml.prediction._model import Model

STAGE_SPANS_KEPT = 128


class OwnBinding(Binding):
    """A model handle bound to the engine's cells."""

    def __init__(self, model: Model, state: State, engine: Engine) -> None:
        super().__init__(model, state)
        self.engine = engine
        self.cells = engine.cells(Identity(model.name, model.version, model.role))
        for label in model.classes or ():  # a series that is born above 0 loses its first increase in Prometheus
            self.cells.mine().classes.setdefault(self.class_label(label), 0)

    def predict(self, model: Model, features: Any, given_id: Any) -> Prediction:
        made = LightPrediction if self.engine.light_spans else StockPrediction
        return made(self, model, features, given_id)

    def count_stage(self, name: str, seconds: float, context: Context) -> None:  # noqa: ARG002
        self.cells.mine().stage(self.stage_label(name)).record(seconds)

    def note_unrecognised(self) -> None:
        self.cells.mine().unrecognised += 1


class _OwnPrediction(Prediction):
    """Metrics and event of own mode; the span is a subclass's business."""

    span_count = 0
    event_count = 0

    def __init__(self, binding: OwnBinding, model: Model, features: Any, given_id: Any) -> None:
        self._binding = binding
        self._engine = binding.engine
        self._clock = binding.engine.clock
        super().__init__(model, features, given_id)
        self._exemplar = False
        self._result: Outcome | None = None
        self._observes = False

    def _new_id(self) -> str:
        return self._engine.ids.prediction_id()

    def _ids(self) -> tuple[int, int, int]:
        """Trace id, span id and trace flags."""
        raise NotImplementedError

    def _close(self, outcome: Outcome) -> None:
        cells = self._binding.cells.mine()
        cells.finished += 1
        ids = self._ids()
        self._count(cells, outcome, ids if ids[2] & 1 and self._engine.exemplars else None)
        model = self.model
        self._end(outcome)
        self.event_count = int(model.wants_event(outcome, sampled=bool(ids[2] & 1)))
        self._observes = model.observes(outcome)
        if self.span_count or self.event_count or self._observes:
            self._result = outcome
            self._engine.offer(self)

    def _abandon(self) -> None:
        self._binding.cells.mine().finished += 1

    def _count(self, cells: ModelCells, outcome: Outcome, ids: tuple[int, int, int] | None) -> None:
        failure = outcome.failure
        if failure is not None:
            self._record(cells.failure(self._binding.error_label(failure.type)), outcome.duration, outcome, ids)
            return
        self._record(cells.durations, outcome.duration, outcome, ids)
        if outcome.first_item is not None:
            self._record(cells.first_items, outcome.first_item, outcome, ids)
        if outcome.rows is not None:
            self._record(cells.batch_sizes, outcome.rows, outcome, ids)
        classes = cells.classes
        output = outcome.output
        if output is None:
            classes[None] = classes.get(None, 0) + outcome.predicted
            return
        for label in output.classes:
            key = None if label is None else self._binding.class_label(label)
            classes[key] = classes.get(key, 0) + 1
        for score in output.scores:
            if score is not None:
                self._record(cells.scores, score, outcome, ids)

    def _record(self, cell: HistogramCell, value: float, outcome: Outcome, ids: tuple[int, int, int] | None) -> None:
        bucket = cell.record(value)
        if ids is not None and bucket not in cell.exemplars:
            exemplar = Exemplar(float(value), outcome.end_ns, ids[0], ids[1])
            self._exemplar = cell.offer(bucket, exemplar) or self._exemplar

    def _end(self, outcome: Outcome) -> None:
        """Ends the span."""
        raise NotImplementedError

    # --- ports.Record: called on the worker ------------------------------------------------------------------------

    def render(self) -> tuple[list[SpanData], EventData | None]:
        """The spans and the event of this prediction."""
        outcome = self._result
        if outcome is None:
            return [], None
        spans = self._span_data(outcome) if self.span_count else []
        return spans, event(self.model, outcome, self._ids()) if self.event_count else None

    def observe(self) -> None:
        """Counts the features' bins and hands the prediction to the store of ground truth."""
        if self._observes and self._result is not None:
            trace_id, span_id, flags = self._ids()
            self.model.observe(self._result, (trace_id, span_id, flags))

    def _span_data(self, outcome: Outcome) -> list[SpanData]:  # noqa: ARG002
        return []


class LightPrediction(_OwnPrediction, LightSpan):
    """A prediction that is its own span."""

    def __init__(self, binding: OwnBinding, model: Model, features: Any, given_id: Any) -> None:
        LightSpan.__init__(self, binding.span_name, binding.engine.clock, (0, 0), INVALID_SPAN_CONTEXT, sampled=False)
        self._stages: list[SpanData] | None = None
        _OwnPrediction.__init__(self, binding, model, features, given_id)

    def _span(self) -> Span:
        return self

    def _ids(self) -> tuple[int, int, int]:
        return self._trace_id, self._span_id, self._flags()

    def _open(self, context: Context) -> None:
        engine = self._engine
        self._binding.cells.mine().started += 1
        parent = get_current_span(context).get_span_context()
        self._parent = parent
        self._trace_id = parent.trace_id if parent.is_valid else engine.ids.trace_id()
        self._span_id = engine.ids.span_id()
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID) if parent.is_valid else True
        decision = engine.sample(context, self._trace_id, self._name, self._binding.attributes, [])
        self._sampled = decision.sampled
        self._trace_state = parent.trace_state if parent.is_valid else None
        if decision.attributes:
            self.set_attributes(decision.attributes)

    def _end(self, outcome: Outcome) -> None:
        self._end_ns = outcome.end_ns
        self.span_count = (1 + len(self._stages or ())) if self._sampled else 0
        self._live = False

    def _stage(self, name: str) -> AbstractContextManager[Any]:
        return LightStage(self, name) if self._live else nullcontext()

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


class LightStage(LightSpan):
    """One stage of a `LightPrediction`."""

    def __init__(self, prediction: LightPrediction, name: str) -> None:
        parent = get_current_span().get_span_context()
        engine = prediction._engine  # noqa: SLF001 - one family of classes in one file
        ids = (parent.trace_id, engine.ids.span_id())
        sampled = bool(parent.trace_flags.sampled)
        super().__init__(name, engine.clock, ids, parent, sampled=sampled)
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        self._prediction = prediction
        self._token: Any = None
        self._began_ns = 0

    def __enter__(self) -> Self:
        _guard.call("stage.start", self._begin)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _guard.call("stage.finish", self._finish, error)

    def _begin(self) -> None:
        self._began_ns = self._clock.perf_counter_ns()
        self._start_ns = self._clock.time_ns()
        self._token = otel_context.attach(set_span_in_context(self))

    def _finish(self, error: BaseException | None) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        otel_context.detach(token)
        elapsed_ns = self._clock.perf_counter_ns() - self._began_ns
        self._end_ns = self._start_ns + elapsed_ns
        prediction = self._prediction
        prediction._binding.count_stage(self._name, elapsed_ns / 1e9, otel_context.get_current())  # noqa: SLF001
        if self._sampled and prediction._live:  # noqa: SLF001
            prediction._stages = prediction._stages or []  # noqa: SLF001
            if len(prediction._stages) < STAGE_SPANS_KEPT:  # noqa: SLF001
                prediction._stages.append(self._finished(error))  # noqa: SLF001
        self._live = False

    def _finished(self, error: BaseException | None) -> SpanData:
        attributes: dict[str, Any] = {**self._prediction._binding.attributes, semconv.STAGE_NAME: self._name}  # noqa: SLF001
        status = None
        if error is not None:
            failure = describe(error)
            attributes[semconv.ERROR_TYPE] = failure.type
            status = None if failure.cancelled else (StatusCode.ERROR, "")
        return self._data(attributes, status)


class StockPrediction(StockSpans, _OwnPrediction):
    """A prediction whose span is a stock one, because a foreign processor or id generator asks for it."""

    def _ids(self) -> tuple[int, int, int]:
        span_context = self._stock_span.get_span_context()
        return span_context.trace_id, span_context.span_id, int(span_context.trace_flags)

    def _open(self, context: Context) -> None:
        self._binding.cells.mine().started += 1
        self._start_span(self._binding.tracer, context)

    def _end(self, outcome: Outcome) -> None:
        if self._exemplar:
            self._stock_span.set_attribute(semconv.EXEMPLAR, True)
        self._end_span(outcome, outcome.end_ns)
