"""Rows of one OTLP log request: predictions, labels, and everything else as plain log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml import semconv
from otel_ml.console.receiving._decoded_request import DecodedRequest, Origin
from otel_ml.console.receiving._ids import SPAN_ID, TRACE_ID, valid_id
from otel_ml.console.receiving._values import digest, dump, json_text, nanoseconds, number, scalar_text
from otel_ml.console.storage._tables import Key, LabelRow, LogRow, PredictionRow

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

_EVENT_NAME = "event.name"
"""Attribute with the name of an event, of senders and Collectors that do not know the field of that name."""
_ERROR = 17
"""Lowest severity number of ERROR in the log data model."""
_LEVELS = {
    1: ("trace", "verbose", "finest", "finer", "t"),
    5: ("debug", "dbg", "fine", "d"),
    9: ("info", "information", "informational", "inf", "notice", "i"),
    13: ("warn", "warning", "wrn", "w"),
    _ERROR: ("error", "err", "severe", "e"),
    21: ("fatal", "critical", "crit", "alert", "emergency", "emerg", "panic", "f"),
}
_NUMBERS = {name: number for number, names in _LEVELS.items() for name in names}
"""The severity number of a level whose sender gives its name only."""


def log_rows(request: ExportLogsServiceRequest, received_ns: int) -> DecodedRequest:
    """The records of a request; one whose ids are not valid belongs to no trace, as the protocol wants it."""
    decoded = DecodedRequest("logs", received_ns)
    for group in request.resource_logs:
        for scoped in group.scope_logs:
            origin = decoded.origin(group.resource, scoped.scope)
            for record in scoped.log_records:
                _add(decoded, record, origin)
    return decoded


def _add(decoded: DecodedRequest, record: LogRecord, origin: Origin) -> None:
    attributes = decoded.trimmer.attributes(record.attributes)
    log = _log(decoded, record, attributes, origin)
    if log.prediction_id is not None and log.event_name == semconv.PREDICTION_EVENT:
        decoded.add("predictions", _prediction(log, attributes))
    elif log.prediction_id is not None and log.event_name == semconv.LABEL_EVENT:
        decoded.add("labels", _label(log, attributes))
    else:
        key = digest(record.SerializeToString(deterministic=True), origin.identity)
        decoded.add("logs", log._replace(key=decoded.distinct(key)))


def _log(decoded: DecodedRequest, record: LogRecord, attributes: dict[str, Any], origin: Origin) -> LogRow:
    """The row without its key, which depends on the table."""
    trimmer = decoded.trimmer
    body, attribute_text = trimmer.body(record.body), dump(attributes | origin.scope_facts)
    time_ns = nanoseconds(record.time_unix_nano or record.observed_time_unix_nano or origin.received_ns)
    return LogRow(
        key=Key(""),
        time_ns=time_ns,
        severity_number=record.severity_number or _NUMBERS.get(record.severity_text.strip().lower(), 0),
        severity_text=trimmer.optional_line(record.severity_text),
        event_name=trimmer.optional_line(record.event_name) or scalar_text(attributes.get(_EVENT_NAME)),
        body=body,
        attributes=attribute_text,
        prediction_id=scalar_text(attributes.get(semconv.PREDICTION_ID)),
        trace_id=valid_id(record.trace_id, TRACE_ID),
        span_id=valid_id(record.span_id, SPAN_ID),
        place_ns=decoded.place(min(time_ns, origin.received_ns)),
        provenance=origin.provenance(body, attribute_text),
    )


def _event_key(log: LogRow) -> Key:
    # not of the whole record: the same event can also arrive through a Collector that has added attributes
    return digest(log.prediction_id or "", log.trace_id or "", log.span_id or "", str(log.time_ns))


def _prediction(log: LogRow, attributes: dict[str, Any]) -> PredictionRow:
    size = attributes.get(semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE)
    error_type = scalar_text(attributes.get(semconv.ERROR_TYPE))
    return PredictionRow(
        log._replace(key=_event_key(log), body=json_text(log.body)),
        model=scalar_text(attributes.get(semconv.MODEL_NAME)),
        version=scalar_text(attributes.get(semconv.MODEL_VERSION)),
        role=scalar_text(attributes.get(semconv.MODEL_ROLE)),
        predicted_class=scalar_text(attributes.get(semconv.PREDICTION_CLASS)),
        value=number(attributes.get(semconv.PREDICTION_VALUE)),
        score=number(attributes.get(semconv.PREDICTION_SCORE_ATTRIBUTE)),
        duration=number(attributes.get(semconv.PREDICTION_DURATION_ATTRIBUTE)),
        batch_size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        error_type=error_type,
        failed=error_type is not None or log.severity_number >= _ERROR,
    )


def _label(log: LogRow, attributes: dict[str, Any]) -> LabelRow:
    correct = attributes.get(semconv.LABEL_CORRECT)
    value = scalar_text(attributes.get(semconv.LABEL_VALUE))
    return LabelRow(
        log._replace(key=digest(_event_key(log), value or "")),
        model=scalar_text(attributes.get(semconv.MODEL_NAME)),
        version=scalar_text(attributes.get(semconv.MODEL_VERSION)),
        role=scalar_text(attributes.get(semconv.MODEL_ROLE)),
        label=value,
        correct=correct if isinstance(correct, bool) else None,
    )
