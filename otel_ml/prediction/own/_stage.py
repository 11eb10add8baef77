"""One named part of a light prediction: a child span and a duration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import StatusCode, get_current_span

from otel_ml import _guard, semconv
from otel_ml._telemetry.contexts import detach
from otel_ml.prediction._context import SPAN_KEY
from otel_ml.prediction._failure import describe
from otel_ml.prediction.own._span import RANDOM_TRACE_ID, LightSpan

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from otel_ml._telemetry.records import SpanData
    from otel_ml.prediction.own._fast_path import LightPrediction

_NOWHERE = Context()


class LightStage(LightSpan):
    """One stage of a `LightPrediction`."""

    _token: Any = None
    _began_ns = 0

    def __init__(self, prediction: LightPrediction, name: str) -> None:
        self._prediction = prediction
        self.given_name = name
        parent = get_current_span().get_span_context()
        self._parent = parent
        self._trace_id = parent.trace_id
        self._span_id = prediction.binding.engine.ids.span_id()
        self._sampled = bool(parent.trace_flags & 1)
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        self._trace_state = parent.trace_state or None

    @property
    def withholds(self) -> bool:
        """Whether texts of exceptions stay in the process."""
        return self._prediction.withholds

    def __enter__(self) -> Self:
        _guard.call("stage.start", self._begin)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _guard.call("stage.finish", self._finish, error)

    def _begin(self) -> None:
        clock = self._prediction.binding.clock
        self._start_ns = clock.time_ns()  # first, as of a prediction
        self._began_ns = clock.perf_counter_ns()
        context = get_current()
        self._token = attach(Context({**context, SPAN_KEY: self}))

    def _finish(self, error: BaseException | None) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        detach(token)
        binding = self._prediction.binding
        elapsed_ns = binding.clock.perf_counter_ns() - self._began_ns
        self._end_ns = self._start_ns + elapsed_ns
        binding.count_stage(self.name, elapsed_ns / 1e9, _NOWHERE)
        if self._sampled:
            self._prediction.add_stage(self._finished(error))
        self._live = False

    def _finished(self, error: BaseException | None) -> SpanData:
        attributes: dict[str, Any] = {**self._prediction.binding.attributes, semconv.STAGE_NAME: self.name}
        status = None
        if error is not None:
            failure = describe(error)
            attributes[semconv.ERROR_TYPE] = failure.type
            status = None if failure.cancelled else (StatusCode.ERROR, "")
        return self._data(attributes, status)
