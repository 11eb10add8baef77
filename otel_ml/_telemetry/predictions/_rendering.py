"""Renders finished predictions on the worker: from templates on the fast path, else on the general path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from otel_ml import _guard
from otel_ml._telemetry.predictions._record_template import Templates, encode
from otel_ml._telemetry.records import SOURCE, EventData, FastRecord, FastRecordValues, Record, Shape, SpanData

if TYPE_CHECKING:
    from otel_ml._telemetry._signal_output import SignalOutput

_SAMPLED: Final = Shape.SAMPLED


class Rendered:
    """The result of one chunk, in the order of its records: bytes from templates, data for the general encoder."""

    def __init__(self, records: list[Record | FastRecordValues]) -> None:
        self.left: Iterator[Record | FastRecordValues] = iter(records)
        self.at: Record | FastRecordValues | None = None
        """The record that is being rendered."""
        self.spans: list[bytes | SpanData] = []
        self.events: list[bytes | EventData] = []
        self.observed: dict[object, list[FastRecordValues]] = {}
        """The records from templates that bins or ground truth are still to count, by what counts them."""


def _draw(record: FastRecordValues) -> FastRecord:
    """Offers the record as exemplar and marks it if it became one."""
    fast = FastRecord._make(record)
    span = (fast.end_ns, fast.trace_id, fast.span_id)
    drawn = fast.source.cells.draw(fast.elapsed_ns / 1e9, fast.score, span)
    return fast._replace(shape=fast.shape | Shape.IS_EXEMPLAR) if drawn else fast


class Renderer:
    """Renders and observes records; one that fails does not affect its neighbours."""

    def __init__(self, traces: SignalOutput[SpanData], logs: SignalOutput[EventData]) -> None:
        self._traces = traces
        self._logs = logs
        self._templates = Templates(traces.encode, logs.encode) if traces.takes_bytes and logs.takes_bytes else None

    def render(self, records: list[Record | FastRecordValues]) -> Rendered:
        """Renders each record once."""
        rendered = Rendered(records)
        # One guard for the whole chunk: it continues behind a record that failed, which then takes the general path.
        while _guard.attempt(self._render_all, rendered) is None:
            if rendered.at is not None:
                self._render_one(rendered.at, rendered)
        for observed in rendered.observed.values():
            _guard.call("worker.observe", observed[0][SOURCE].observe, observed)
        return rendered

    def _render_all(self, rendered: Rendered) -> bool:  # noqa: C901, PLR0912 - inlined: it runs for every prediction
        templates = self._templates
        kept = {} if templates is None else templates.kept
        # Records of one chunk are mostly alike, so what was found for the last one is kept and compared first: its
        # source, the names of its features, its template, and the buckets in which there is an exemplar already, so
        # that a value between their bounds need not be offered again.
        seen, low, high, least, most = None, 0.0, 0.0, 0.0, 0.0
        last_source, last_names = None, None
        last_shape, last_label, template = -1, "", None
        for given in rendered.left:
            rendered.at = record = given
            if templates is None or not isinstance(record, tuple):
                self._render_one(record, rendered)
                continue
            source, shape, _, event_count, _, _, _, _, elapsed_ns, _, label, score, row, stages = record
            if source is not last_source:
                last_source, last_names, last_shape = source, None, -1
            if row is not None:
                names = tuple(row)
                if names != last_names:
                    if names in source.known_names:
                        last_names = names
                    else:
                        rendered.at = record = source.checked(FastRecord._make(record))
                        row = record.row
            if (
                shape & _SAMPLED
                and source.exemplars
                and not (source is seen and low < elapsed_ns <= high and least < score <= most)
            ):
                bounds = source.cells.known(elapsed_ns / 1e9, score)
                if bounds is None:
                    rendered.at = record = _draw(record)
                    shape = record.shape
                else:
                    seen, (low, high, least, most) = source, bounds
            if shape != last_shape or label != last_label:
                last_shape, last_label = shape, label
                template = kept.get((source.number, shape, label)) or templates.get(FastRecord._make(record))
            if template is None:
                self._render_one(record, rendered)
                continue
            span, event = encode(template, record, source.body(label, score, row) if event_count else b"")
            if span is not None:
                rendered.spans.append(span)
                if stages:
                    rendered.spans += stages
            if event is not None:
                rendered.events.append(event)
            if source.has_observers:
                observers = source.observers
                observed = rendered.observed.get(observers)
                if observed is None:
                    observed = rendered.observed[observers] = []
                observed.append(record)
        return True

    def _render_one(self, record: Record | FastRecordValues, rendered: Rendered) -> None:
        """Renders one record on the general path."""
        if isinstance(record, tuple):
            self._render_fast(FastRecord._make(record), rendered)
            return
        data = _guard.call("worker.render", record.render)
        self._add(data, record.span_count, record.event_count, rendered)
        _guard.call("worker.observe", record.observe)

    def _render_fast(self, given: FastRecord, rendered: Rendered) -> None:
        record = _guard.call("worker.check", given.source.checked, given) or given._replace(row=None)
        data = _guard.call("worker.render", record.source.render, record)
        self._add(data, record.span_count, record.event_count, rendered)
        _guard.call("worker.observe", record.source.observe, [record])

    def _add(
        self,
        data: tuple[list[SpanData], Sequence[bytes | EventData]] | None,
        spans: int,
        events: int,
        rendered: Rendered,
    ) -> None:
        if data is None:
            self._traces.drop("invalid", spans)
            self._logs.drop("invalid", events)
            return
        found_spans, found_events = data
        self._traces.adjust(spans, len(found_spans))
        self._logs.adjust(events, len(found_events))
        rendered.spans += found_spans
        rendered.events += found_events
