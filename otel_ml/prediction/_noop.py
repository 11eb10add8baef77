"""The prediction without effect."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span

from otel_ml.prediction._prediction import Prediction, id_text


class NoopPrediction(Prediction):
    """A prediction with the same surface and no effect, for when nothing can or should be recorded."""

    def __init__(self, given_id: Any = None) -> None:
        self._id = id_text(given_id) or ""
        self._finished = True
        self._first_item = 0.0

    def set_output(self, prediction: Any = None, score: Any = None, *, batch: bool = False) -> None:
        """Does nothing."""

    def stage(self, name: str) -> AbstractContextManager[Any]:  # noqa: ARG002
        """Returns a block without effect."""
        return nullcontext()

    def _start(self, ago: float = 0.0) -> None:
        """Does nothing."""

    def _attach(self) -> None:
        """Does nothing."""

    def _mark_first_item(self) -> None:
        """Does nothing."""

    def _span(self) -> Span:
        return INVALID_SPAN
