"""What the rooms above see of the engine: its surface, its records and the one that is in force now."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from otel_ml._telemetry.ids import RANDOM, Ids
from otel_ml._telemetry.predictions.cells import CellSet, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Link, SpanKind, Tracer

    from otel_ml._telemetry.requests.cells import RequestCellSet
    from otel_ml._telemetry.requests.spans import FinishedSpan

Mode = Literal["own", "guest", "off"]
AttributeValue = str | bool | int | float
Attributes = dict[str, AttributeValue]


@dataclass(slots=True)
class SpanData:
    """One finished span, ready to be encoded. Times are nanoseconds since the epoch."""

    name: str
    trace_id: int
    span_id: int
    parent_span_id: int
    """0 for a root span."""
    trace_flags: int
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: list[tuple[str, int, Attributes]] = field(default_factory=list)
    links: list[tuple[int, int, Attributes]] = field(default_factory=list)
    """Trace id, span id and attributes of each link."""
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str = ""
    trace_state: str = ""
    parent_is_remote: bool = False
    kind: Literal["internal", "server"] = "internal"


@dataclass(slots=True)
class EventData:
    """One log record with an event name. ``body`` is one JSON text."""

    name: str
    time_ns: int
    severity: Literal["INFO", "ERROR"]
    body: str
    attributes: Attributes
    trace_id: int = 0
    span_id: int = 0
    trace_flags: int = 0


EverydayValues: TypeAlias = tuple[
    "Source",
    object,
    int,
    int,
    int,
    int,
    int,
    int,
    int,
    int,
    int,
    str,
    float,
    "dict[str, object] | None",
    "Sequence[SpanData]",
]
"""An `Everyday` as it waits for the worker: the plain tuple costs a third of one with names."""


class Everyday(NamedTuple):
    """A finished prediction in the few values by which it differs from others of its shape. Plain values only."""

    source: Source
    model: object
    shape: int
    """Bits of `Shape`: two records of one source with equal shapes and labels differ in nothing but what follows."""
    span_count: int
    event_count: int
    trace_id: int
    span_id: int
    parent_span_id: int
    """0 for a root span."""
    end_ns: int
    elapsed_ns: int
    number: int
    """The prediction id as a number."""
    label: str
    """The predicted class."""
    score: float
    row: dict[str, object] | None
    """The features, as yet with names that nobody has looked at."""
    stages: Sequence[SpanData]

    @property
    def prediction_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.number:032x}"


class Shape:
    """Bits of `Everyday.shape`. The lowest two are the trace flags."""

    SAMPLED = 1
    FLAGS = 3
    HAS_PARENT = 4
    PARENT_IS_REMOTE = 8
    IS_EXEMPLAR = 16


class Source(Protocol):
    """What everyday predictions of one model have in common. Called on the worker."""

    number: int
    """Tells its shapes from those of other sources."""
    cells: CellSet
    exemplars: bool
    has_observers: bool
    known_names: set[tuple[str, ...]]
    """Names of rows that are clean."""

    def checked(self, record: Everyday) -> Everyday:
        """The record with names of features that are clean."""

    def body(self, model: object, label: str, score: float, row: dict[str, object] | None) -> bytes:
        """The JSON text of an event, UTF-8."""

    def render(self, record: Everyday) -> tuple[list[SpanData], EventData | None]:
        """The spans and the event in the general way."""

    def prototype(self, record: Everyday) -> tuple[SpanData, EventData]:
        """The span and the event of a record, each whether it is wanted or not."""

    def observe(self, record: Everyday) -> None:
        """Counts bins, violations and the prediction for ground truth."""


class Record(Protocol):
    """A finished prediction on its way to the worker. It holds plain values only, nothing of the user's."""

    span_count: int
    """Spans that `render` will give: they are entered in the ledger when the record is offered."""
    event_count: int

    def render(self) -> tuple[list[SpanData], EventData | None]:
        """Builds the span data and the event. Called once, on the worker."""

    def observe(self) -> None:
        """Counts bins, violations and the prediction for ground truth. Called once, on the worker."""


class Clock(Protocol):
    """The two clocks of a prediction; tests put a fixed one here."""

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
    """A sampler as a rule: the parent's decision if there is a parent and it counts, else the trace id."""

    follows_parent: bool
    bound: int
    """Sampled if the low 64 bits of the trace id are below it; 0 samples nothing."""


class Engine(Protocol):
    """The engine in own mode."""

    ids: Ids
    clock: Clock
    light_spans: bool
    """False when a foreign span processor or id generator must see stock spans."""
    exemplars: bool
    """False when `OTEL_METRICS_EXEMPLAR_FILTER` turns them off, or nothing leaves to which they could lead."""
    is_heard: bool
    """False when neither spans nor events of predictions leave: then a record is only for observers."""

    sampling_rule: SamplingRule | None
    """None when the sampler has to be asked for each span."""

    def cells(self, identity: Identity) -> CellSet:
        """The cells of one model, created on first use and folded at every collection from then on."""

    requests: RequestCellSet | None
    """The cells of HTTP requests, folded at every collection; None when they are measured by instruments of `meter`."""

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
        """Asks the provider's sampler about a span, of kind INTERNAL unless told otherwise."""

    def offer_span(self, span: FinishedSpan) -> object:
        """Hands a finished span to the worker without blocking; one too many is dropped (and counted)."""

    def offer(self, record: Record | EverydayValues) -> bool:
        """Hands a record to the worker without blocking; False when it was dropped (and counted)."""

    def offer_heavy(self, record: Record, weight: int) -> bool:
        """`offer` for a record that holds about so many bytes until it has been rendered."""

    def hurry(self) -> None:
        """Asks for a round of the worker now: much is noted in the cells."""

    def drain(self, deadline: float) -> bool:
        """Has the worker render and observe all that was offered before the call; nothing is sent."""

    def flush(self, deadline: float) -> bool:
        """Brings out all that was finished before the call, until a moment of `time.monotonic`."""

    def meter(self, name: str) -> Meter:
        """A meter of the engine's provider."""

    def tracer(self, name: str) -> Tracer:
        """A tracer of the engine's provider."""


class Policy(NamedTuple):
    """What `configure` said about events and captured features; a model's own keywords win over it."""

    events: str
    capture_features: str
    low_score: float | None


@dataclass(frozen=True, slots=True)
class State:
    """The mode in force and, in own mode, its engine. Handles compare by identity to notice a change."""

    mode: Mode
    engine: Engine | None = None
    policy: Policy | None = None
    """None before `configure`: the environment decides."""

    def is_of(self, other: State | None) -> bool:
        """Whether both stand for the same numbers: what has been counted under one goes on under the other."""
        return self is other or (self.engine is not None and other is not None and self.engine is other.engine)


_GUEST = State("guest")
_OFF = State("off")
_state: State | None = None
_listeners: list[Callable[[State], object]] = []


def state() -> State:
    """The state in force. Before `configure` it is guest (the plain OTel API), or off if the SDK is disabled."""
    return _state or _undecided()


def _undecided() -> State:
    return _OFF if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" else _GUEST


def enter(new: State | None) -> None:
    """Puts a state in force; None goes back to the undecided one."""
    global _state
    _state = new
    for listener in _listeners:
        listener(state())


def renew(engine: Engine) -> None:
    """Has everybody look at the engine again, if it is the one in force: its spans take another way from now on."""
    if _state is not None and _state.engine is engine:
        enter(replace(_state))


def on_enter(listener: Callable[[State], object]) -> None:
    """Calls the listener with every state that comes into force from now on; it must not raise."""
    _listeners.append(listener)


WITHHELD = "withheld: a model has sensitive columns"
"""Stands where an exception's own text could quote a sensitive value."""
_withholds = False


def withhold_exceptions(*, withheld: bool = True) -> None:
    """From now on nothing that this process sends carries the text of an exception.

    A model with sensitive columns asks for it: its exceptions also pass through spans and logs that are not ours, and
    those may be encoded when the model is gone. Only the test kit takes it back.
    """
    global _withholds
    _withholds = withheld


def withholds() -> bool:
    """Whether texts of exceptions stay in the process."""
    return _withholds


def ids() -> Ids:
    """The generator in force."""
    engine = state().engine
    return engine.ids if engine is not None else RANDOM
