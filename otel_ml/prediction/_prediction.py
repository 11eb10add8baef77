"""The life of one prediction: start, stages, output, end. The modes differ in how they record it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_ml import _guard, _process
from otel_ml._telemetry.contexts import detach
from otel_ml._values import TEXT_LIMIT, line, number
from otel_ml._values.kinds import sequence
from otel_ml._values.moments import find_seconds
from otel_ml.prediction._context import PREDICTION_KEY, PREDICTIONS_KEY, SPAN_KEY, RequestPredictions
from otel_ml.prediction._failure import REPLACED, describe
from otel_ml.prediction._ids import IDS_LIMIT, read_ids
from otel_ml.prediction._outcome import Outcome, Segments
from otel_ml.prediction.boundary import _features
from otel_ml.prediction.boundary._feature_batch import FEW_ROWS, ROWS_IN_EVENT, FeatureBatch, Features
from otel_ml.prediction.boundary._outputs import Output
from otel_ml.prediction.boundary._records import unwrap
from otel_ml.prediction.boundary._secrets import SECRET_ROWS
from otel_ml.prediction.segments._reader import SegmentReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from otel_ml._telemetry.ports import Clock
    from otel_ml.prediction._policy import ModelPolicy
    from otel_ml.prediction._spec import ModelSpec
    from otel_ml.quality import FeatureMonitor

LONGEST = 7 * 86_400.0
"""Seconds of the longest plausible duration: one larger value would spoil the sum of a histogram for good."""
UNSET: Any = object()
"""Marks a missing result, since None can be a result."""
_MAKING_AN_ID = threading.RLock()
_process.hold_at_fork(_MAKING_AN_ID)


class PredictionBinding(Protocol):
    """The part of a binding that a prediction uses."""

    spec: ModelSpec
    policy: ModelPolicy
    wants_features: bool
    segment_reader: SegmentReader | None
    combination: Segments | None

    @property
    def monitor(self) -> FeatureMonitor | None:
        """Counts the features; None without a profile and a schema."""

    @property
    def arrive(self) -> Callable[[str, str, str], Prediction]:
        """Rebuilds a prediction of another process from its ids."""

    def observe_features(self, batch: FeatureBatch, segments: Sequence[Segments] | None) -> None:
        """Counts the features of some rows."""

    def count_unrecognised(self, result: Any = None) -> None:
        """Counts a result from which no prediction was read."""

    def count_omissions(self, reason: str, count: int = 1) -> None:
        """Counts what telemetry leaves out of a prediction, and logs it once."""


class Prediction:
    """One prediction. `Model.prediction` makes it; it is a context manager, also for ``async with``.

    Emits the span ``predict <model>``, the metrics ``ml.prediction.*`` and the event ``ml.prediction``. No error of
    otel-ml reaches the caller; an exception of the wrapped code passes through as the same object.
    """

    # Defaults are class attributes: most predictions never change them.
    _id: str | None = None
    _row_ids: list[str | None] | None = None
    _output: Output | None = None
    _secrets: tuple[str, ...] = ()
    _finished = False
    _token: Any = None
    _began_ns = -1
    """When it began, by the monotonic clock; negative before."""
    _start_ns = 0
    _first_item: float | None = None
    _consent = False
    _at: float | None = None
    """When a prediction was made that is recorded later."""
    _moments: list[float | None] | None = None
    """When the rows of a batch were; empty if the caller's only moment cannot be read."""
    _is_job = False
    """Whether the caller would rather wait for room in a queue than lose rows."""
    _is_taken = False
    """True once `_features` is the copy that `_start` made; before, it is the caller's object."""
    _rows_given: int | None = None
    _segments: list[Segments] | None = None
    """The segments of each input; None before they are read, and for a model without segment columns."""

    def __init__(self, binding: Any, features: Any, given_id: Any = None) -> None:
        self._binding: PredictionBinding = binding
        self._features = features
        if given_id is not None or self._binding.spec.id_source is not None:
            _guard.call("prediction.id", self._choose_id, given_id)

    @property
    def id(self) -> str:
        """The prediction id under which a label can be recorded later; row *i* of a batch is ``<id>.<i>``.

        It is made when it is first read, on any thread; all threads see the same.
        """
        if self._id is None:
            with _MAKING_AN_ID:  # the caller and the worker may ask at the same time
                if self._id is None:
                    self._id = self._new_id()
        return self._id

    @property
    def trace_id(self) -> str:
        """The trace id as 32 hexadecimal digits; all zeros if there is none."""
        return f"{self._span().get_span_context().trace_id:032x}"

    @property
    def span_id(self) -> str:
        """The span id as 16 hexadecimal digits; all zeros if there is none."""
        return f"{self._span().get_span_context().span_id:016x}"

    def set_output(self, prediction: Any = None, score: Any = None, *, batch: bool = False) -> None:
        """Sets what was predicted.

        Args:
            prediction: The class or the number; with ``batch`` a sequence of them, shape (rows,).
            score: The score in 0..1; with ``batch`` a sequence, shape (rows,).
            batch: Whether both are sequences over rows.
        """
        self._take_output(_guard.call("prediction.set_output", self._read_given, prediction, score, batch), prediction)

    def stage(self, name: str) -> AbstractContextManager[Any]:
        """A named part of the prediction: a child span and `ml.prediction.stage.duration`."""
        stage = _guard.call("prediction.stage", self._stage, line(name, 64) or "stage")
        return stage if stage is not None else nullcontext()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish(error=error)
        self._detach()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, error, trace)

    def __copy__(self) -> Self:
        return self  # it has one life

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._finished:
            _guard.warn_once(
                "prediction.transfer",
                "otel-ml: a prediction was sent to another process before its end: only its ids arrive, "
                "so set its output and record its stages where it began",
            )
        return self._binding.arrive, (self.id, self.trace_id, self.span_id)

    # --- called by the decorator and the context manager; none of these raises -------------------------------------

    def _begin(self) -> None:
        """Starts and attaches."""
        self._start()
        self._attach()

    def _complete(self, result: Any) -> None:
        """Finishes with what the wrapped code returned, and detaches."""
        self._finish(result)
        self._detach()

    def _fail(self, error: BaseException) -> None:
        """Finishes with what the wrapped code raised, and detaches."""
        self._finish(error=error)
        self._detach()

    @_guard.guarded("prediction.start")
    def _start(self, ago: float = 0.0) -> None:
        """Takes the time and opens the span below the current one.

        Args:
            ago: Seconds since a prediction that was made elsewhere began.
        """
        if self._began_ns >= 0:
            _guard.warn_once("prediction.twice", "otel-ml: a prediction was begun twice; make a new one each time")
            return
        self._take_features()
        # In this order: after a pause between the two clocks the end must not lie in the future.
        now = self._clock.time_ns() if self._at is None else round(self._at * 1e9)
        self._start_ns = now - int(ago * 1e9)
        self._began_ns = self._clock.perf_counter_ns()
        context = otel_context.get_current()
        self._open(context)
        self._offer_id(context)

    @_guard.guarded("prediction.announce")
    def _announce(self) -> None:
        """Offers its id to the answer of the current request before the prediction begins."""
        request = otel_context.get_value(PREDICTIONS_KEY)
        if isinstance(request, RequestPredictions):
            request.announce(self, is_primary=self._binding.spec.role == "primary")

    @_guard.guarded("prediction.attach")
    def _attach(self) -> None:
        """Makes the span and the prediction current."""
        if self._token is None and self._began_ns >= 0:
            given = {**otel_context.get_current(), SPAN_KEY: self._span(), PREDICTION_KEY: self}
            self._token = otel_context.attach(Context(given))

    @_guard.guarded("prediction.detach")
    def _detach(self) -> None:
        """Restores the context from before."""
        token, self._token = self._token, None
        if token is not None:
            detach(token)

    @_guard.guarded("prediction.first_item")
    def _mark_first_item(self) -> None:
        """Takes the time of a stream's first item."""
        if self._first_item is None:
            self._first_item = (self._clock.perf_counter_ns() - self._began_ns) / 1e9

    def _finish(
        self, result: Any = UNSET, *, error: BaseException | str | None = None, duration: float | None = UNSET
    ) -> None:
        """Counts the prediction and emits its span and event; a second call does nothing.

        Args:
            result: What the wrapped code returned, if the output is to be read from it.
            error: What it raised instead.
            duration: Seconds that a prediction made elsewhere took, None if unknown; by default it is measured.
        """
        if self._finished or self._began_ns < 0:
            return
        self._finished = True
        outcome = _guard.call("prediction.finish", self._outcome, result, error, duration)
        self._features = None
        if outcome is None:
            _guard.call("prediction.abandon", self._abandon)
        else:
            _guard.call("prediction.close", self._close, outcome)

    def _reset_after_fork(self) -> None:
        """In a forked child: ends without a record, since the parent reports it."""
        self._finished = True

    def _redact(self, message: str) -> str:
        """Replaces the sensitive values of this prediction in a text."""
        for secret in self._secrets:
            before, found, after = message.partition(secret)
            if found:  # of a longer value only the beginning is known: the rest of the message may be its end
                message = before + REPLACED + ("" if len(secret) >= TEXT_LIMIT else after.replace(secret, REPLACED))
        return message

    def _check_duration(self, given: Any) -> float | None:
        """Returns the caller's duration in seconds; None if it is unknown or not plausible. The latter is counted."""
        if given is None:
            return None
        seconds = number(given)
        if seconds is not None and 0.0 <= seconds <= LONGEST:
            return seconds
        self._binding.count_omissions("duration")
        return None

    @_guard.guarded("prediction.moment")
    def _take_moment(self, given: Any) -> None:
        """Takes when a prediction was made that is recorded later, or when each row of a batch was."""
        if given is None:
            return
        listed = sequence(given, IDS_LIMIT)
        found = [find_seconds(item) for item in ([given] if listed is None else listed[0])]
        moments = [None if moment is None or moment < 0 else moment for moment in found]
        known = [moment for moment in moments if moment is not None]
        self._at = max(known, default=None)
        if len(known) < len(moments):
            self._binding.count_omissions("moment", len(moments) - len(known))
        if listed is not None or not known:
            self._moments = moments if listed is not None else []

    # --- decisions shared by both modes ---------------------------------------------------------------------------

    def _offer_id(self, context: Context) -> None:
        """Offers the id to the answer of the request that is served in this context."""
        request = context.get(PREDICTIONS_KEY)
        is_primary = self._binding.spec.role == "primary"
        if isinstance(request, RequestPredictions) and request.wants(is_primary=is_primary):
            request.first_id, request.is_primary = self.id, is_primary

    def _read_given(self, prediction: Any, score: Any, batch: bool) -> Output | None:
        return self._binding.spec.read_given(prediction, score, batch=batch)

    def _take_output(self, output: Output | None, result: Any) -> None:
        self._output = output
        if output is None:
            self._binding.count_unrecognised(result)
            return
        if output.omissions:
            self._count_omissions(output)
        if self._binding.spec.score_check is not None:
            self._binding.spec.check_scores(output.classes, output.scores)

    def _count_omissions(self, output: Output) -> None:
        for reason, count in output.omissions.items():
            self._binding.count_omissions(reason, count)
        output.omissions.clear()

    def _slices(self, outcome: Outcome) -> Iterator[tuple[int, Output]]:
        """Yields the outputs of a large batch that were not read yet, with the position of their first row."""
        output = outcome.output
        if output is None or output.rest is None:
            return
        if outcome.failure is not None:
            output.rest = None
            return
        yield from output.slices()
        self._count_omissions(output)

    def _choose_id(self, given: Any) -> None:
        """Takes the caller's id, or the ids of the rows of a batch."""
        found = read_ids(self._binding.spec.id_source if given is None else given, self._features)
        self._id, self._row_ids = found.id, found.rows
        if found.unread:
            self._binding.count_omissions("id", found.unread)

    def _outcome(self, result: Any, error: BaseException | str | None, duration: float | None) -> Outcome:
        if duration is UNSET:
            duration = (self._clock.perf_counter_ns() - self._began_ns) / 1e9
        elapsed = duration or 0.0
        if not self._start_ns:
            self._start_ns = self._clock.time_ns() - int(elapsed * 1e9)
        if not self._is_taken:
            self._take_features()
        rows, snapshot = self._rows_given, self._features
        if error is None and result is not UNSET and self._output is None:
            self._take_output(self._binding.policy.recognise(result, rows), result)
        unpaired = self._unpaired()
        if unpaired is not None:
            self._binding.count_omissions("pairing", max(unpaired.values()))
        return Outcome(
            prediction_id=self.id,
            row_ids=self._row_ids,
            unpaired=unpaired,
            rows=self._rows(rows, snapshot),
            output=self._output,
            features=snapshot,
            failure=None if error is None else describe(error, withhold=self._binding.policy.is_sensitive),
            duration=duration,
            end_ns=self._start_ns + int(elapsed * 1e9),
            first_item=self._first_item,
            at=self._at,
            moments=self._moments,
            consent=self._consent,
            is_job=self._is_job,
            segments=self._segments_of_inputs(),
        )

    def _segments_of_inputs(self) -> Sequence[Segments] | None:
        """Returns the segments of the inputs, those of one row if there are no inputs."""
        reader, combination = self._binding.segment_reader, self._binding.combination
        if reader is None:
            return None
        return [combination] if combination is not None else self._segments or [reader.missing]

    def _rows(self, rows: int | None, snapshot: Features | None) -> int | None:
        if self._output is not None:
            return self._output.rows
        if rows is None and isinstance(snapshot, FeatureBatch):
            rows = snapshot.total_rows
        return rows if self._binding.spec.batch or (rows is not None and rows != 1) else None

    def _unpaired(self) -> dict[str, int] | None:
        """Returns the numbers of inputs, ids, moments and outputs of a batch if they differ; None if they agree."""
        if self._output is None or self._output.rows is None:
            return None
        counts = {"outputs": self._output.rows}
        if self._rows_given is not None:
            counts["inputs"] = self._rows_given
        if self._row_ids is not None:
            counts["ids"] = len(self._row_ids)
        if self._moments:
            counts["moments"] = len(self._moments)
        return counts if len(set(counts.values())) > 1 else None

    def _take_features(self) -> None:
        """Copies the features as they are now, before the wrapped code may change them."""
        request = self._features
        self._is_taken = True
        self._features = None
        policy = self._binding.policy
        given = _guard.call("prediction.payload", policy.open_payload, request)
        if given is None:
            policy.warn_no_row()
            return
        wants = self._consent or self._binding.wants_features
        reader = None if self._binding.combination is not None else self._binding.segment_reader
        row = policy.known_row(given) if wants or reader is not None else None
        if row is not None and reader is not None:
            self._segments = [reader.read_row(row)]
        if row is not None and wants:
            self._features = row
            return
        if row is None:
            self._rows_given = _guard.call("prediction.rows", _features.row_count, given)
            if wants or reader is not None:
                found = _guard.call("prediction.features", self._read_features, given, reader)
                self._features = found if wants else None
        if not wants:
            policy.warn_undeclared()
        elif policy.is_sensitive:
            self._secrets = self._find_secrets(request, given)

    def _find_secrets(self, request: Any, given: Any) -> tuple[str, ...]:
        """Returns the sensitive values of a call; log lines inside it must not contain them."""
        find = functools.partial(self._binding.policy.secrets, is_whole=given is unwrap(request))
        return _guard.call("prediction.secrets", find, request, self._features) or ()

    def _read_features(self, given: Any, reader: SegmentReader | None) -> Features | None:
        """Copies a row. Of many rows it counts all and copies the first ones: what waits for the worker stays small."""
        policy, binding = self._binding.policy, self._binding
        found = policy.read(given)
        segments = self._segments = None if reader is None else reader.read(found)
        if not isinstance(found, FeatureBatch):
            return found
        if found.total_columns > len(found.columns):
            binding.count_omissions("features", found.total_columns - len(found.columns))
        if found.total_rows <= FEW_ROWS:
            return found.copy(found.rows)
        if binding.monitor is not None or reader is not None:
            binding.observe_features(found, segments)
            for part in policy.slices(given, found):
                more = None if reader is None else reader.read(part)
                binding.observe_features(part, more)
                if segments is not None:
                    segments += more or ()
        copied = found.copy(SECRET_ROWS if policy.is_sensitive else ROWS_IN_EVENT)
        copied.is_counted = True
        return copied

    # --- what a mode fills in --------------------------------------------------------------------------------------

    _clock: Clock

    def _new_id(self) -> str:
        raise NotImplementedError

    def _span(self) -> Span:
        raise NotImplementedError

    def _open(self, context: Context) -> None:
        raise NotImplementedError

    def _stage(self, name: str) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def _close(self, outcome: Outcome) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        """Ends the span and corrects the gauge of active calls when there is no outcome."""
        raise NotImplementedError
