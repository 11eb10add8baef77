"""The data of a finished prediction in the engine: spans, events and the records of both paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

AttributeValue: TypeAlias = "str | bool | int | float | list[Any] | dict[str, Any]"
Attributes = dict[str, AttributeValue]


class SpanEvent(NamedTuple):
    """An event of a span."""

    name: str
    time_ns: int
    attributes: Attributes
    dropped: int = 0
    """Attributes that a limit left out."""


class SpanLink(NamedTuple):
    """A link of a span."""

    trace_id: int
    span_id: int
    attributes: Attributes
    dropped: int = 0
    """Attributes that a limit left out."""


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
    events: list[SpanEvent] = field(default_factory=list)
    links: list[SpanLink] = field(default_factory=list)
    dropped_attributes: int = 0
    """Attributes that a limit left out while the span was recorded; likewise events and links."""
    dropped_events: int = 0
    dropped_links: int = 0
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
    observed_ns: int | None = None
    """None if it is ``time_ns``."""


class FastRecord(NamedTuple):
    """A finished prediction on the fast path: only the values that differ from others of its shape, no user objects."""

    source: RecordSource
    shape: int
    """Bits of `Shape`: records of one source with equal shape and label differ only in the fields below."""
    span_count: int
    event_count: int
    trace_id: int
    span_id: int
    parent_id: int
    """The span id of the parent; 0 for a root span."""
    end_ns: int
    elapsed_ns: int
    number: int
    """The prediction id as a number."""
    label: str
    """The predicted class."""
    score: float
    row: dict[str, object] | None
    """The features, with names not yet validated."""
    stages: Sequence[SpanData]

    @property
    def prediction_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.number:032x}"


FastRecordValues: TypeAlias = "tuple[Any, ...]"
"""The values of a `FastRecord` in its order, as they wait for the worker: a bare tuple costs a third of a named one."""
SOURCE: Final = FastRecord._fields.index("source")
SPAN_COUNT: Final = FastRecord._fields.index("span_count")
EVENT_COUNT: Final = FastRecord._fields.index("event_count")
LABEL, SCORE, ROW = (FastRecord._fields.index(name) for name in ("label", "score", "row"))


class Shape:
    """Bits of `FastRecord.shape`. The lowest two are the trace flags."""

    SAMPLED = 1
    FLAGS = 3
    HAS_PARENT = 4
    PARENT_IS_REMOTE = 8
    IS_EXEMPLAR = 16


class ExemplarCells(Protocol):
    """The cells of a model, as far as the worker chooses exemplars with them."""

    def known(self, seconds: float, score: float) -> tuple[float, float, float, float] | None:
        """Finds the buckets of a prediction if both have an exemplar in this interval already."""

    def draw(self, seconds: float, score: float, span: tuple[int, int, int]) -> bool:
        """Offers a prediction as exemplar; returns True when it became one."""


class RecordSource(Protocol):
    """What all fast records of one model share. Called on the worker."""

    number: int
    """Distinguishes its shapes from those of other sources."""

    @property
    def cells(self) -> ExemplarCells:
        """The cells that its predictions are counted in."""

    exemplars: bool
    has_observers: bool
    observers: object
    """What observes the records of all sources of its model: any of them can hand them over."""
    known_names: set[tuple[str, ...]]
    """Feature names that were validated, one tuple for each layout of a row."""

    def checked(self, record: FastRecord) -> FastRecord:
        """Returns the record with valid feature names."""

    def body(self, label: str, score: float, row: dict[str, object] | None) -> bytes:
        """Returns the JSON text of an event, in UTF-8."""

    def render(self, record: FastRecord) -> tuple[list[SpanData], list[EventData]]:
        """Builds the spans and the events on the general path."""

    def prototype(self, record: FastRecord) -> tuple[SpanData, EventData]:
        """Builds the span and the event of a record, also those the record does not ask for."""

    def observe(self, records: Sequence[FastRecordValues]) -> None:
        """Counts bins, violations and the predictions for ground truth."""


class Record(Protocol):
    """A finished prediction on the general path, waiting for the worker. It holds no user objects."""

    span_count: int
    """Spans that `render` will return; the ledger counts them when the record is offered."""
    event_count: int

    def render(self) -> tuple[list[SpanData], Sequence[bytes | EventData]]:
        """Builds the spans and the events, framed messages or data. Called once, on the worker."""

    def observe(self) -> None:
        """Counts bins, violations and the prediction for ground truth. Called once, on the worker."""
