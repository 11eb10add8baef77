"""What the rooms above see of the engine: its surface and the state in force."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from otel_ml._telemetry.ids import RANDOM, Ids
from otel_ml.config import DEFAULT_LIMITS as DEFAULT_RECORD_LIMITS
from otel_ml.config import MAX_MODELS, ExceptionSignal, RecordLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Link, SpanKind, Tracer

    from otel_ml._telemetry.metrics._observed_family import ObservedSource
    from otel_ml._telemetry.predictions.cells import CellSet
    from otel_ml._telemetry.predictions.model_cells import ModelIdentity
    from otel_ml._telemetry.records import Attributes, AttributeValue, FastRecordValues, Record
    from otel_ml._telemetry.requests.cells import RequestCellSet
    from otel_ml._telemetry.requests.spans import FinishedSpan

Mode = Literal["own", "guest", "off"]


class Clock(Protocol):
    """The two clocks of a prediction; tests use a fixed one."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def perf_counter_ns(self) -> int:
        """Monotonic nanoseconds."""


class SamplingDecision(Protocol):
    """What the provider's sampler decided for one span."""

    sampled: bool
    trace_state: str
    attributes: Mapping[str, AttributeValue]


class SamplingRule(NamedTuple):
    """A sampler as a rule: it follows the parent if there is one and ``follows_parent`` is set, else the trace id."""

    follows_parent: bool
    bound: int
    """Sampled if the low 64 bits of the trace id are below it; 0 samples nothing."""


class Engine(Protocol):
    """The engine in own mode."""

    ids: Ids
    clock: Clock
    fast_spans: bool
    """False when a foreign span processor or id generator must see SDK spans."""
    exemplars: bool
    """False when `OTEL_METRICS_EXEMPLAR_FILTER` turns them off, or neither spans nor events are exported."""
    has_exporters: bool
    """False when neither spans nor events have an exporter: then only observers need a record."""

    record_limits: RecordLimits
    """How much one span or log record may carry."""

    sampling_rule: SamplingRule | None
    """None if the sampler has to be asked about each span."""

    def cells(self, identity: ModelIdentity, owner: object = None) -> CellSet:
        """Returns the cells of one model, created on first use and then folded at every collection.

        They may be given up when each owner is gone and room is needed; without one they stay.
        """

    def observe(self, source: ObservedSource) -> None:
        """Exports the source at every collection from now on."""

    requests: RequestCellSet | None
    """The cells of HTTP requests, folded at every collection; None if instruments of `meter` measure them."""

    def sample(  # noqa: PLR0913 - a span's kind is a keyword
        self,
        context: Context,
        trace_id: int,
        name: str,
        attributes: Attributes,
        links: list[Link],
        *,
        kind: SpanKind = ...,
    ) -> SamplingDecision:
        """Asks the provider's sampler about a span, of kind INTERNAL by default."""

    def offer_span(self, span: FinishedSpan) -> object:
        """Hands a finished span to the worker without blocking; drops and counts it when the queue is full."""

    def offer(self, record: Record | FastRecordValues) -> bool:
        """Hands a record to the worker without blocking; returns False when it was dropped (and counted)."""

    def offer_sized(self, record: Record, size: int, *, wait: bool = False) -> bool:
        """Does the same for a record that holds about ``size`` bytes until it is rendered; a job waits for room."""

    def wait_for_room(self, size: int) -> None:
        """Waits until a record of about ``size`` bytes finds room in every queue, as long as they are emptied."""

    def wake_worker(self) -> None:
        """Wakes the worker now, because many measurements are pending in the cells."""

    def drain(self, deadline: float) -> bool:
        """Waits until the worker has rendered and observed all records offered before the call; sends nothing."""

    def flush(self, deadline: float) -> bool:
        """Exports all that was finished before the call; the deadline is a time of `time.monotonic`."""

    def meter(self, name: str) -> Meter:
        """Returns a meter of the engine's provider."""

    def tracer(self, name: str) -> Tracer:
        """Returns a tracer of the engine's provider."""


class Policy(NamedTuple):
    """What `configure` says about events and captured features; a model's own keywords win over it."""

    events: str
    capture_features: str
    low_score: float | None
    exceptions: ExceptionSignal = "spans"
    """Where exceptions of predictions are recorded."""


class Limits(NamedTuple):
    """How much one process may export."""

    models: int = MAX_MODELS
    """Models in use at once that have series of their own."""
    feature_series: int | None = None
    """Bins of features over all models; None leaves it to the mode."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class State:
    """The mode in force and, in own mode, its engine. Handles compare by identity to notice a change."""

    mode: Mode
    engine: Engine | None = None
    policy: Policy | None = None
    """None before `configure`: the environment decides."""
    limits: Limits = DEFAULT_LIMITS
    generation: int = 0
    """In guest mode: the generation of the global providers (`provider_globals.generation`)."""

    def shares_engine(self, other: State | None) -> bool:
        """Whether both states count into the same engine or global providers, so that a handle may keep its counts."""
        if self is other or other is None:
            return self is other
        if self.mode == other.mode == "guest":
            return self.generation == other.generation
        return self.engine is not None and self.engine is other.engine


_GUEST = State("guest")
_OFF = State("off")
_state: State | None = None
_listeners: list[Callable[[State], object]] = []
_note_sources: list[Callable[[], list[str]]] = []


def state() -> State:
    """Returns the state in force; before `configure` it is guest (the OTel API), or off if the SDK is disabled."""
    return _state or _before_configure()


def _before_configure() -> State:
    return _OFF if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" else _GUEST


def enter(new: State | None) -> None:
    """Puts a state in force; None restores the one before `configure`."""
    global _state
    _state = new
    for listener in _listeners:
        listener(state())


def on_notes(source: Callable[[], list[str]]) -> None:
    """Adds lines of a room above to `Telemetry.notes`."""
    _note_sources.append(source)


def notes() -> list[str]:
    """Returns the lines of the rooms above about this process."""
    return [line for source in _note_sources for line in source()]


def renew(engine: Engine) -> None:
    """Makes all listeners read the engine again, if it is in force: its spans take another path from now on."""
    if _state is not None and _state.engine is engine:
        enter(replace(_state))


def on_enter(listener: Callable[[State], object]) -> None:
    """Calls the listener with every new state; it must not raise."""
    _listeners.append(listener)


def record_limits() -> RecordLimits:
    """Returns the limits of spans in force."""
    engine = state().engine
    return engine.record_limits if engine is not None else DEFAULT_RECORD_LIMITS


def ids() -> Ids:
    """Returns the id generator in force."""
    engine = state().engine
    return engine.ids if engine is not None else RANDOM
