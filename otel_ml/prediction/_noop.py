"""The prediction without effect."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext

from otel_ml._values import ID_LIMIT, id_text
from otel_ml.prediction._prediction import Prediction


class NoopPrediction(Prediction):
    """A prediction with the same surface and no effect, for when nothing can or should be recorded."""

    def __init__(self, given_id: Any = None, arrived: SpanContext | None = None) -> None:
        self._id = id_text(given_id, ID_LIMIT) or ""
        self._ended_span = INVALID_SPAN if arrived is None else NonRecordingSpan(arrived)
        self._finished = True
        self._first_item = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return arrive, (self.id, self.trace_id, self.span_id)

    def set_output(self, prediction: Any = None, score: Any = None, *, batch: bool = False) -> None:
        """Does nothing."""

    def stage(self, name: str) -> AbstractContextManager[Any]:  # noqa: ARG002
        """Returns a block without effect."""
        return nullcontext()

    def _start(self, ago: float = 0.0) -> None:
        """Does nothing."""

    def _check_duration(self, given: Any) -> float | None:  # noqa: ARG002
        """Checks nothing."""
        return None

    def _take_moment(self, given: Any) -> None:
        """Takes nothing."""

    def _announce(self) -> None:
        """Does nothing."""

    def _attach(self) -> None:
        """Does nothing."""

    def _mark_first_item(self) -> None:
        """Does nothing."""

    def _span(self) -> Span:
        return self._ended_span


def arrive(prediction_id: str, trace_id: str, span_id: str) -> NoopPrediction:
    """Rebuilds a prediction of another process: it has its ids and is over."""
    return NoopPrediction(prediction_id, SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True))
