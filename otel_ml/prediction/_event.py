"""Span attributes and event of a finished prediction, the same in own and guest mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_ml import semconv
from otel_ml._guard import attempt
from otel_ml._telemetry.records import Attributes, EventData
from otel_ml._values.json_texts import BODY_LIMIT, flat_json, json_text, rows_json
from otel_ml._values.labels import few_entries, few_text
from otel_ml.prediction._failure import Failure
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction.boundary._feature_batch import ROWS_IN_EVENT, FeatureBatch
from otel_ml.prediction.boundary._outputs import Output

_REST_LIMIT = 256
"""Bytes of what the body of a batch has beside its rows."""


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
    attributes: Attributes = {**policy.spec.event_attributes, semconv.PREDICTION_ID: outcome.prediction_id}
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
        body=_row_text(policy, outcome) if outcome.rows is None else _batch_text(policy, outcome, outcome.rows),
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
        attributes[semconv.PREDICTION_CLASS] = few_text(label) if output.is_several else label
    if value is not None:
        attributes[semconv.PREDICTION_VALUE] = value
    if score is not None:
        attributes[semconv.PREDICTION_SCORE_ATTRIBUTE] = score


def _row_text(policy: ModelPolicy, outcome: Outcome) -> str:
    features = outcome.features
    row = features if isinstance(features, dict) else None
    if isinstance(features, FeatureBatch) and features.rows == 1:
        row = features.row(0)
    captured = None if row is None else policy.captured(row, consent=outcome.consent)
    body = _row(captured, outcome.output, 0)
    written = attempt(flat_json, body)
    return json_text(body) if written is None else written.decode()


def _batch_text(policy: ModelPolicy, outcome: Outcome, total: int) -> str:
    """Returns the first rows of a batch, as many as fit, and how many there are beside them."""
    written, kept = rows_json(_rows(policy, outcome, min(total, ROWS_IN_EVENT)), BODY_LIMIT - _REST_LIMIT)
    rest: dict[str, Any] = {} if outcome.unpaired is None else {"unpaired": outcome.unpaired}
    if total > kept:
        rest["rows_omitted"] = total - kept
    return f'{{"rows":{written}{"," if rest else ""}{json_text(rest)[1:]}'


def _rows(policy: ModelPolicy, outcome: Outcome, count: int) -> Iterator[dict[str, Any]]:
    if outcome.unpaired is not None:
        yield from (_row(None, outcome.output, index) for index in range(count))
        return
    features = outcome.features
    batch = features if isinstance(features, FeatureBatch) else None
    captured = [] if batch is None else policy.captured_rows(batch, count, consent=outcome.consent)
    for index in range(count):
        row = captured[index] if index < len(captured) else None
        yield {"id": outcome.row_id(index), **_row(row, outcome.output, index)}


def _row(captured: dict[str, object] | None, output: Output | None, index: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if captured is not None:
        row["features"] = captured
    if output is not None and index < len(output.classes):
        label, value, score = output.classes[index], output.values[index], output.scores[index]
        if label is not None or value is not None:
            row["prediction"] = value if label is None else few_entries(label) if output.is_several else label
        if score is not None:
            row["score"] = score
    return row
