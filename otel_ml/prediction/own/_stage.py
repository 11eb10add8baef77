"""One named part of a fast prediction: a child span and a duration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import StatusCode, get_current_span

from otel_ml import _guard, semconv
from otel_ml._telemetry.contexts import detach
from otel_ml.prediction._context import SPAN_KEY
from otel_ml.prediction._failure import describe
from otel_ml.prediction.own.span import RANDOM_TRACE_ID, FastSpan

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from otel_ml._telemetry.records import SpanData
    from otel_ml.prediction.own._general_path import OwnBinding

_NO_CONTEXT = Context()


class StagedPrediction(Protocol):
    """What a stage needs of its prediction."""

    @property
    def _binding(self) -> OwnBinding: ...

    @property
    def _withholds(self) -> bool: ...

    def _add_stage(self, data: SpanData) -> None:
        """Takes the span of a stage that has ended."""


class FastStage(FastSpan):
    """One stage of a prediction on the fast path, or one that began there."""

    _token: Any = None
    _began_ns = 0

    def __init__(self, prediction: StagedPrediction, name: str) -> None:
        self._prediction = prediction
        self._given_name = name
        parent = get_current_span().get_span_context()
        self._parent = parent
        self._trace_id = parent.trace_id
        self._span_id = prediction._binding.engine.ids.span_id()
        self._sampled = bool(parent.trace_flags & 1)
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        self._trace_state = parent.trace_state or None

    @property
    def _withholds(self) -> bool:
        return self._prediction._withholds

    def __enter__(self) -> Self:
        _guard.call("stage.start", self._begin)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _guard.call("stage.finish", self._finish, error)

    def _begin(self) -> None:
        clock = self._prediction._binding.clock
        self._start_ns = clock.time_ns()  # before the other clock, as for a prediction
        self._began_ns = clock.perf_counter_ns()
        context = get_current()
        self._token = attach(Context({**context, SPAN_KEY: self}))

    def _finish(self, error: BaseException | None) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        detach(token)
        binding = self._prediction._binding
        elapsed_ns = binding.clock.perf_counter_ns() - self._began_ns
        self._end_ns = self._start_ns + elapsed_ns
        binding.count_stage(self.name, elapsed_ns / 1e9, _NO_CONTEXT)
        if self._sampled:
            self._prediction._add_stage(self._finished(error))
        self._live = False

    def _finished(self, error: BaseException | None) -> SpanData:
        attributes: dict[str, Any] = {**self._prediction._binding.attributes, semconv.STAGE_NAME: self.name}
        status = None
        if error is not None:
            failure = describe(error)
            attributes[semconv.ERROR_TYPE] = failure.type
            status = None if failure.cancelled else (StatusCode.ERROR, "")
        return self._data(attributes, status)
