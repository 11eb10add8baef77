"""Span attributes and event of a finished prediction, the same in own and guest mode."""

from __future__ import annotations

from typing import Any

from otel_ml import semconv
from otel_ml._guard import attempt
from otel_ml._json import flat_json, json_text
from otel_ml._telemetry.records import Attributes, EventData
from otel_ml.prediction._failure import Failure
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction.boundary._feature_batches import FeatureBatch

ROWS_IN_EVENT = 100


def span_attributes(spec: ModelSpec, outcome: Outcome) -> Attributes:
    """Returns the attributes of the prediction's span."""
    attributes: Attributes = {**spec.attributes, semconv.PREDICTION_ID: outcome.prediction_id}
    _add_result(attributes, outcome)
    if outcome.failure is not None:
        attributes[semconv.ERROR_TYPE] = outcome.failure.type
    return attributes


def events(policy: ModelPolicy, outcome: Outcome, ids: tuple[int, int, int]) -> list[EventData]:
    """Builds the events that a prediction emits: as many as `ModelPolicy.count_events` says."""
    found = []
    if policy.wants_event(outcome, sampled=bool(ids[2] & 1)):
        found.append(event(policy, outcome, ids))
    if outcome.failure is not None and policy.wants_exception_event(outcome.failure):
        found.append(_exception_event(policy.spec, outcome, outcome.failure, ids))
    return found


def event(policy: ModelPolicy, outcome: Outcome, ids: tuple[int, int, int]) -> EventData:
    """Builds the `ml.prediction` event.

    Args:
        policy: What may leave the process of this model.
        outcome: How it ended.
        ids: Trace id, span id and trace flags.
    """
    attributes: Attributes = {**policy.spec.attributes, semconv.PREDICTION_ID: outcome.prediction_id}
    if outcome.duration is not None:
        attributes[semconv.PREDICTION_DURATION_ATTRIBUTE] = outcome.duration
    _add_result(attributes, outcome)
    failure = outcome.failure
    if failure is not None:
        attributes[semconv.ERROR_TYPE] = failure.type
    return EventData(
        name=semconv.PREDICTION_EVENT,
        time_ns=outcome.end_ns,
        severity="ERROR" if failure is not None and not failure.cancelled else "INFO",
        body=_text(_body(policy, outcome), is_row=outcome.rows is None),
        attributes=attributes,
        trace_id=ids[0],
        span_id=ids[1],
        trace_flags=ids[2],
    )


def _exception_event(spec: ModelSpec, outcome: Outcome, failure: Failure, ids: tuple[int, int, int]) -> EventData:
    """Builds the event of the exception that ended a prediction, as the conventions of exceptions in logs say."""
    return EventData(
        name=semconv.PREDICTION_EXCEPTION_EVENT,
        time_ns=outcome.end_ns,
        severity="ERROR",
        body=failure.type,
        attributes={**spec.attributes, semconv.PREDICTION_ID: outcome.prediction_id, **failure.attributes()},
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


def _text(body: dict[str, Any], *, is_row: bool) -> str:
    written = attempt(flat_json, body) if is_row else None
    return json_text(body) if written is None else written.decode()


def _body(policy: ModelPolicy, outcome: Outcome) -> dict[str, Any]:
    features = outcome.features
    if outcome.rows is None:
        row = features if isinstance(features, dict) else None
        if isinstance(features, FeatureBatch) and features.rows == 1:
            row = features.row(0)
        return _row(policy, row, outcome, 0)
    rows: list[dict[str, Any]] = []
    for index in range(min(outcome.rows, ROWS_IN_EVENT)):
        if outcome.unpaired is not None:
            rows.append(_row(policy, None, outcome, index))
            continue
        row = features.row(index) if isinstance(features, FeatureBatch) and index < features.rows else None
        rows.append({"id": outcome.row_id(index), **_row(policy, row, outcome, index)})
    body: dict[str, Any] = {"rows": rows}
    if outcome.unpaired is not None:
        body["unpaired"] = outcome.unpaired
    if outcome.rows > ROWS_IN_EVENT:
        body["rows_omitted"] = outcome.rows - ROWS_IN_EVENT
    return body


def _row(policy: ModelPolicy, features: dict[str, object] | None, outcome: Outcome, index: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    output = outcome.output
    if features is not None:
        captured = policy.captured(features, consent=outcome.consent)
        if captured is not None:
            row["features"] = captured
    if output is not None and index < len(output.classes):
        label, value, score = output.classes[index], output.values[index], output.scores[index]
        if label is not None or value is not None:
            row["prediction"] = label if label is not None else value
        if score is not None:
            row["score"] = score
    return row
