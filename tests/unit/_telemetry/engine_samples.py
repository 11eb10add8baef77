"""Records like those of predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from otel_ml._telemetry.records import EventData, SpanData


def within(seconds: float = 60.0) -> float:
    """A monotonic deadline that only a hang can miss."""
    return time.monotonic() + seconds


def eventually(is_true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Waits until something is true; False when only a hang can be the reason."""
    deadline = within(seconds)
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def span(number: int = 1, **changes) -> SpanData:
    values = {
        "name": "predict m",
        "trace_id": 0xABC0 + number,
        "span_id": 0xDEF0 + number,
        "parent_span_id": 0,
        "trace_flags": 1,
        "start_ns": 1_000,
        "end_ns": 2_000,
        "attributes": {"ml.model.name": "m", "ml.prediction.score": 1.0},
    }
    return SpanData(**{**values, **changes})


def event(number: int = 1, **changes) -> EventData:
    values = {
        "name": "ml.prediction",
        "time_ns": 2_000,
        "severity": "INFO",
        "body": '{"prediction": 1}',
        "attributes": {"ml.model.name": "m"},
        "trace_id": 0xABC0 + number,
        "span_id": 0xDEF0 + number,
        "trace_flags": 1,
    }
    return EventData(**{**values, **changes})


@dataclass
class Sample:
    """A record with one span and one event."""

    number: int = 1
    spans: list[SpanData] = field(default_factory=list)
    span_count: int = 1
    event_count: int = 1
    observed: int = 0
    fails: bool = False
    render_event: EventData | None = None

    def render(self):
        if self.fails:
            raise ZeroDivisionError
        return self.spans or [span(self.number)], [self.render_event or event(self.number)]

    def compact(self):
        return None

    def observe(self):
        self.observed += 1
