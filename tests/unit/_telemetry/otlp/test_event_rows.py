"""Events of one shape: their bytes are those of the general encoder."""

from __future__ import annotations

from functools import partial

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from otel_ml._event_rows import EventRow, EventShape
from otel_ml._telemetry.otlp._encoding import encode_event
from otel_ml._telemetry.otlp._event_rows import encode_rows
from otel_ml._telemetry.records import EventData
from otel_ml.config import RecordLimits

NOW = 1_800_000_000_000_000_000
SHAPES = [
    EventShape("ml.label", '{"label": "ü"}', {"ml.model.name": "m" * 200, "ml.label.correct": False}),
    EventShape("ml.label", "", {}),
]


def rows() -> list[EventRow]:
    ids = [(0xABC << 64, 0xDEF, True), (2**128 - 1, 2**64 - 1, False), (0, 0, False)]
    values = ["order-1", "ü" * 256, ""]
    return [
        EventRow(shape, "ml.prediction.id", value, time_ns, *span)
        for shape in SHAPES
        for value in values
        for span in ids
        for time_ns in (0, 1_700_000_000_123_456_789)
    ]


@pytest.mark.parametrize("limits", [RecordLimits(), RecordLimits(log_attributes=1), RecordLimits(log_value_length=3)])
def test_the_messages_are_those_of_the_general_encoder(limits: RecordLimits) -> None:
    """Whatever the ids, the texts and the limits; also when the shape has been encoded already."""
    encode = partial(encode_event, limits=limits)
    expected = [
        LogRecord.FromString(
            encode(
                EventData(
                    row.shape.name,
                    row.time_ns,
                    "INFO",
                    row.shape.body,
                    row.attributes(),
                    row.trace_id,
                    row.span_id,
                    int(row.is_sampled),
                    NOW,
                )
            )
        )
        for row in rows()
    ]
    found = ScopeLogs.FromString(b"".join(encode_rows(rows(), NOW, encode, limits)))
    assert list(found.log_records) == expected
