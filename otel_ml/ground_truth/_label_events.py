"""The event ``ml.label`` of each joined label, on the trace of its prediction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry._logs import get_logger, get_logger_provider

from otel_ml import _guard, semconv
from otel_ml._event_rows import EventProvider, EventRow, EventShape, emit_one
from otel_ml._values.labels import SEVERAL, few_entries
from otel_ml.ground_truth._records import Settled, is_correct

if TYPE_CHECKING:
    from opentelemetry._logs import Logger


class LabelEvents:
    """Emits the events of labels.

    Args:
        logger: Where they go; None for the provider in force, also for one that comes later.
    """

    def __init__(self, logger: Logger | None) -> None:
        self._logger = logger

    def emit(self, settled: Iterable[Settled], *, wait: bool) -> None:
        """Emits the events of labels that are new to their prediction.

        Args:
            settled: What labels have done to predictions.
            wait: Whether to wait while there is no room for them; a provider of the SDK drops them instead.
        """
        rows = label_rows(settled)
        if not rows:
            return
        provider = get_logger_provider() if self._logger is None else None
        if getattr(provider, "emit_events", None) is not None:
            cast("EventProvider", provider).emit_events(rows, wait=wait)
            return
        logger = get_logger(semconv.SCOPE) if self._logger is None else self._logger
        for row in rows:
            _guard.call_two("ground_truth.event", emit_one, logger, row)


def label_rows(settled: Iterable[Settled]) -> Sequence[EventRow]:
    """Returns the events of labels; those of one class and one prediction share their shape."""
    shapes: dict[tuple[object, ...], EventShape] = {}
    rows: list[EventRow] = []
    for one in settled:
        prediction, label = one.prediction, one.label
        key = (
            prediction.model,
            prediction.version,
            prediction.role,
            prediction.predicted,
            prediction.value,
            *label[1:3],
        )
        shape = shapes.get(key)
        if shape is None:
            shape = shapes[key] = _shape(one)
        rows.append(
            EventRow(
                shape,
                semconv.PREDICTION_ID,
                prediction.id,
                int(label.labeled_at * 1e9),
                prediction.trace_id,
                prediction.span_id,
                prediction.sampled,
            )
        )
    return rows


def _shape(settled: Settled) -> EventShape:
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
        semconv.LABEL_VALUE: value,
    }
    correct = is_correct(prediction, label)
    if correct is not None:
        attributes[semconv.LABEL_CORRECT] = correct
    return EventShape(semconv.LABEL_EVENT, json.dumps(body, ensure_ascii=False), attributes)
