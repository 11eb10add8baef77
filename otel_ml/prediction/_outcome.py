"""The end of one prediction in plain values, and its span attributes and event, the same in own and guest mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_ml import semconv
from otel_ml._json import json_text
from otel_ml._telemetry.records import Attributes, EventData
from otel_ml.prediction._features import Batch
from otel_ml.prediction._outputs import Output

if TYPE_CHECKING:
    from otel_ml.prediction._failure import Failure
    from otel_ml.prediction._model import Model

ROWS_IN_EVENT = 100


@dataclass(slots=True)
class Outcome:
    """What is known of a finished prediction. Durations are seconds."""

    prediction_id: str
    row_ids: list[str] | None
    """Ids that the caller gave to the rows of a batch."""
    rows: int | None
    """Rows of a batch; None for a single prediction."""
    output: Output | None
    features: dict[str, object] | Batch | None
    failure: Failure | None
    duration: float
    end_ns: int
    first_item: float | None = None
    consent: bool = False
    """The caller passed the features in order to have them recorded."""

    @property
    def predicted(self) -> int:
        """Rows predicted; 0 for a failed call."""
        if self.failure is not None:
            return 0
        return 1 if self.rows is None else self.rows

    def row_id(self, index: int) -> str:
        """The id of one row: the caller's, or ``<id>.<index>``."""
        if self.row_ids is not None and index < len(self.row_ids):
            return self.row_ids[index]
        return f"{self.prediction_id}.{index}"


def span_attributes(model: Model, outcome: Outcome) -> Attributes:
    """The attributes of the prediction's span."""
    attributes: Attributes = {**model.attributes, semconv.PREDICTION_ID: outcome.prediction_id}
    _add_result(attributes, outcome)
    if outcome.failure is not None:
        attributes[semconv.ERROR_TYPE] = outcome.failure.type
    return attributes


def event(model: Model, outcome: Outcome, ids: tuple[int, int, int]) -> EventData:
    """The `ml.prediction` event.

    Args:
        model: The handle whose prediction it was.
        outcome: How it ended.
        ids: Trace id, span id and trace flags.
    """
    attributes: Attributes = {
        **model.attributes,
        semconv.PREDICTION_ID: outcome.prediction_id,
        semconv.PREDICTION_DURATION_ATTRIBUTE: outcome.duration,
    }
    _add_result(attributes, outcome)
    failure = outcome.failure
    if failure is not None:
        attributes[semconv.ERROR_TYPE] = failure.type
    return EventData(
        name=semconv.PREDICTION_EVENT,
        time_ns=outcome.end_ns,
        severity="ERROR" if failure is not None and not failure.cancelled else "INFO",
        body=json_text(_body(model, outcome)),
        attributes=attributes,
        trace_id=ids[0],
        span_id=ids[1],
        trace_flags=ids[2],
    )


def _add_result(attributes: Attributes, outcome: Outcome) -> None:
    if outcome.rows is not None:
        attributes[semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE] = outcome.rows
        return
    output = outcome.output
    if output is None:
        return
    label, value, score = output.classes[0], output.values[0], output.scores[0]
    if label is not None:
        attributes[semconv.PREDICTION_CLASS] = label
    if value is not None:
        attributes[semconv.PREDICTION_VALUE] = value
    if score is not None:
        attributes[semconv.PREDICTION_SCORE_ATTRIBUTE] = score


def _body(model: Model, outcome: Outcome) -> dict[str, Any]:
    features = outcome.features
    if outcome.rows is None:
        row = features if isinstance(features, dict) else None
        if isinstance(features, Batch) and features.rows == 1:
            row = features.row(0)
        return _row(model, row, outcome, 0)
    rows: list[dict[str, Any]] = []
    for index in range(min(outcome.rows, ROWS_IN_EVENT)):
        row = features.row(index) if isinstance(features, Batch) and index < features.rows else None
        rows.append({"id": outcome.row_id(index), **_row(model, row, outcome, index)})
    body: dict[str, Any] = {"rows": rows}
    if outcome.rows > ROWS_IN_EVENT:
        body["rows_omitted"] = outcome.rows - ROWS_IN_EVENT
    return body


def _row(model: Model, features: dict[str, object] | None, outcome: Outcome, index: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    output = outcome.output
    if features is not None:
        captured = model.captured(features, consent=outcome.consent)
        if captured is not None:
            row["features"] = captured
    if output is not None and index < len(output.classes):
        label, value, score = output.classes[index], output.values[index], output.scores[index]
        if label is not None or value is not None:
            row["prediction"] = label if label is not None else value
        if score is not None:
            row["score"] = score
    return row
