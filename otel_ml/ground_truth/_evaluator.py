"""Each joined label as mergeable counts of live performance and as an event on the prediction's trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ml import _guard, semconv
from otel_ml._label_values import SEVERAL, few_entries
from otel_ml._logged_prediction import LoggedPrediction, LoggedRows
from otel_ml.ground_truth._records import LabelOutcome, Settled, is_correct
from otel_ml.ground_truth.live._label_counts import LabelCounts, counts_on
from otel_ml.ground_truth.live._task_counts import CLASS_TASKS, Expected

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.metrics import Meter, MeterProvider


class Evaluator:
    """Adds to ``ml.eval.*`` after the store has committed a join, and emits ``ml.label``.

    Args:
        meter: Where the counts go; None for the provider in force, also for one that comes later.
        logger: Where the events go.
    """

    def __init__(self, meter: Meter | None, logger: Logger) -> None:
        self._meter = meter
        self._logger = logger
        self._provider: MeterProvider | None = None
        self._in_force: LabelCounts | None = None

    @_guard.guarded("ground_truth.expect")
    def expect(self, stored: Sequence[LoggedRows]) -> None:
        """Starts at 0 the series that the labels of these predictions will add to."""
        counts = self._counts()
        for _, rows in groupby(stored, key=lambda rows: id(rows.model)):
            counts.expect(_expected(list(rows)))

    @_guard.guarded("ground_truth.refused")
    def count_refused(self, prediction: LoggedPrediction | None, reason: str, times: int = 1) -> None:
        """Counts predictions of one model that were not stored."""
        self._counts().count_refused(prediction, reason, times)

    @_guard.guarded("ground_truth.expired")
    def count_expired(self, labels: int) -> None:
        """Counts labels that were deleted before their prediction came."""
        self._counts().count_unsettled("expired", None, labels)

    @_guard.guarded("ground_truth.state")
    def count(self, outcome: LabelOutcome) -> None:
        """Counts a label for each prediction that it settles, and emits their events."""
        counts = self._counts()
        if not outcome.settled:
            counts.count_unsettled(outcome.state, outcome.reason)
        for one in outcome.settled:
            _guard.call_two("ground_truth.join", LabelCounts.count_settled, counts, one)
            if one.state in {"matched", "revised"}:
                _guard.call("ground_truth.event", self._emit, one)

    def _counts(self) -> LabelCounts:
        if self._meter is not None:
            return counts_on(self._meter)
        provider = metrics.get_meter_provider()
        if self._in_force is None or provider is not self._provider:
            if self._in_force is not None and "Proxy" in type(self._provider).__name__:
                self._in_force.end()  # its instruments export to the provider that took its place
            self._provider = provider
            self._in_force = counts_on(provider.get_meter(semconv.SCOPE), owner=provider)
        return self._in_force

    def _emit(self, settled: Settled) -> None:
        prediction, label = settled.prediction, settled.label
        regression = prediction.task == "regression"
        body: dict[str, Any] = {
            "prediction": prediction.value if regression else prediction.predicted,
            "label": label.number if regression else label.label,
        }
        value = label.label
        if prediction.task in SEVERAL:
            body = {name: None if text is None else few_entries(text) for name, text in body.items()}
            value = json.dumps(body["label"], ensure_ascii=False)
        attributes: dict[str, str | bool] = {
            semconv.MODEL_NAME: prediction.model,
            semconv.MODEL_VERSION: prediction.version,
            semconv.MODEL_ROLE: prediction.role,
            semconv.PREDICTION_ID: prediction.id,
            semconv.LABEL_VALUE: value,
        }
        correct = is_correct(prediction, label)
        if correct is not None:
            attributes[semconv.LABEL_CORRECT] = correct
        self._logger.emit(
            timestamp=int(label.labeled_at * 1e9),
            context=_trace_context(prediction),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=json.dumps(body, ensure_ascii=False),
            attributes=attributes,
            event_name=semconv.LABEL_EVENT,
        )


def _expected(rows: Sequence[LoggedRows]) -> Expected:
    """Returns what the counts start with, from predictions of one model."""
    model = rows[0].model
    return Expected(
        model,
        {name for each in rows for name in each.predicted if name is not None} if model.task in CLASS_TASKS else (),
        any(score is not None for each in rows for score in each.scores),
        any(row is not None for each in rows if each.probabilities is not None for row in each.probabilities),
    )


def _trace_context(prediction: LoggedPrediction) -> Context:
    """Returns a context in which the prediction's span is current, so that the event belongs to it."""
    flags = TraceFlags(TraceFlags.SAMPLED if prediction.sampled else TraceFlags.DEFAULT)
    span = SpanContext(prediction.trace_id, prediction.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(span), Context())
