"""Predictions in own mode: counted in per-thread cells, told to the worker as one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml import _guard, semconv
from otel_ml._telemetry.histograms import Exemplar, HistogramCell
from otel_ml._telemetry.ports import Clock, Engine, State
from otel_ml._telemetry.predictions.cells import Identity, ModelCells
from otel_ml._telemetry.records import EventData, SpanData
from otel_ml.prediction._binding import Binding
from otel_ml.prediction._features import LIGHT, Batch, weight_of
from otel_ml.prediction._outcome import Outcome, event
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._sdk_spans import StockSpans

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_ml.prediction._model import Model


class OwnBinding(Binding):
    """A model handle bound to the engine's cells."""

    def __init__(self, model: Model, state: State, engine: Engine) -> None:
        super().__init__(model, state)
        self.engine = engine
        self.cells = engine.cells(Identity(model.name, model.version, model.role))
        for label in model.classes or ():  # a series that is born above 0 loses its first increase in Prometheus
            self.cells.mine().classes.setdefault(self.class_label(label), 0)

        self.clock = engine.clock
        self.exemplars = engine.exemplars
        self.has_exporters = engine.has_exporters or model.has_observers
        self.offer = engine.offer if self.has_exporters else _to_nobody

    def predict(self, model: Model, features: Any, given_id: Any) -> Prediction:
        return StockPrediction(self, model, features, given_id)

    def count_stage(self, name: str, seconds: float, context: Context) -> None:  # noqa: ARG002
        self.cells.mine().stage(self.stage_label(name)).record(seconds)

    def note_unrecognised(self) -> None:
        self.cells.mine().unrecognised += 1


def _to_nobody(record: object) -> bool:  # noqa: ARG001
    """No exporter of spans or events was asked for, and nobody observes."""
    return False


class OwnPrediction(Prediction):
    """Metrics and event of own mode; the span is a subclass's business."""

    span_count = 0
    event_count = 0
    _exemplar = False
    _result: Outcome | None = None
    _observes = False
    _binding: OwnBinding

    def __init__(self, binding: OwnBinding, model: Model, features: Any, given_id: Any) -> None:
        self._binding = binding
        super().__init__(model, features, given_id)

    @property
    def binding(self) -> OwnBinding:
        """What the model handle was bound to when this prediction began."""
        return self._binding

    @property
    def _clock(self) -> Clock:  # type: ignore[override]
        return self._binding.clock

    def _new_id(self) -> str:
        return f"{self._binding.engine.ids.prediction_number():032x}"

    def _ids(self) -> tuple[int, int, int]:
        """Trace id, span id and trace flags."""
        raise NotImplementedError

    def _close(self, outcome: Outcome) -> None:
        cells = self._binding.cells.mine()
        cells.finished += 1
        ids = self._ids()
        self._count(cells, outcome, ids if ids[2] & 1 and self._binding.exemplars else None)
        model = self.model
        _guard.call("prediction.span", self._end, outcome)
        self.event_count = int(model.wants_event(outcome, sampled=bool(ids[2] & 1)))
        self._observes = model.observes(outcome)
        is_told = self._binding.has_exporters and (self.span_count or self.event_count or self._observes)
        if not (is_told and self._offer(outcome)):
            self._let_go()

    def _offer(self, outcome: Outcome) -> bool:
        """Hands itself to the worker; False when there was no room."""
        self._result = outcome
        features = outcome.features
        weight = features.weight() if isinstance(features, Batch) else weight_of(features) if features else 0
        if weight > LIGHT:
            return self._binding.engine.offer_sized(self, weight)
        return self._binding.offer(self)

    def _let_go(self) -> None:
        """Nobody will render it: whoever keeps it must not keep more than that."""
        self._result = None

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
        outcome = self._result = self._told()
        if outcome is None:
            return [], None
        spans = self._span_data(outcome) if self.span_count else []
        return spans, event(self.model, outcome, self._ids()) if self.event_count else None

    def observe(self) -> None:
        """Counts the features' bins and hands the prediction to the store of ground truth."""
        if self._observes and (outcome := self._told()) is not None:
            self.model.observe(outcome, self._ids())

    def _told(self) -> Outcome | None:
        """The outcome as it was when the prediction ended."""
        return self._result

    def _span_data(self, outcome: Outcome) -> list[SpanData]:  # noqa: ARG002
        return []


class StockPrediction(StockSpans, OwnPrediction):
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
