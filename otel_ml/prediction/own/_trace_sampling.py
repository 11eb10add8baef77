"""The ids of a prediction's span, and whether its trace is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span

from otel_ml.prediction._context import SPAN_KEY
from otel_ml.prediction.own.span import FAST_KINDS, RANDOM_TRACE_ID, FastSpan

if TYPE_CHECKING:
    from otel_ml.prediction.own._general_path import OwnBinding

LOW_64_BITS = (1 << 64) - 1


class SampledSpan(FastSpan):
    """A span with ids that are made when they are first needed, decided by the provider's rule or sampler."""

    _binding: OwnBinding
    _trace_id = 0
    _span_id = 0
    """0 before they were made."""
    _parent: SpanContext | FastSpan | None = None

    def get_span_context(self) -> SpanContext:
        if self._span_id == 0:
            self._make_ids()
        return super().get_span_context()

    def _make_ids(self) -> None:
        """Makes the ids of a span that is not sampled: the decision did not need them."""
        ids = self._binding.engine.ids
        if self._trace_id == 0:
            self._trace_id = ids.trace_id()
        self._span_id = ids.span_id()

    def _decide(self, context: Context) -> None:
        """Finds the parent and asks the rule, or the sampler, whether this trace is recorded."""
        engine = self._binding.engine
        rule = engine.sampling_rule
        around: Any = context.get(SPAN_KEY)
        followed = False
        if type(around) in FAST_KINDS:
            followed = self._follow_fast(around)
        elif around is not None:
            parent = get_current_span(context).get_span_context()
            followed = parent.is_valid and self._follow(parent)
        if rule is None:
            self._ask_sampler(context)
        elif self._trace_id and rule.follows_parent:
            self._sampled = followed
        elif rule.bound:
            self._trace_id = self._trace_id or engine.ids.trace_id()
            self._sampled = self._trace_id & LOW_64_BITS < rule.bound
        if self._sampled and not self._span_id:
            self._span_id = engine.ids.span_id()

    def _follow(self, parent: SpanContext) -> bool:
        """Becomes a child; returns whether the parent is sampled."""
        self._parent = parent
        self._trace_id = parent.trace_id
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        if parent.trace_state:
            self._trace_state = parent.trace_state
            self._is_fast = False
        return bool(parent.trace_flags & 1)

    def _follow_fast(self, parent: FastSpan) -> bool:
        """`_follow` for a span of ours, without its `SpanContext`, which costs more than all the rest."""
        if parent._span_id == 0:
            parent.get_span_context()  # makes the ids of a prediction that is not sampled
        self._parent = parent
        self._trace_id = parent._trace_id
        self._random = parent._random
        if parent._trace_state:
            self._trace_state = parent._trace_state
            self._is_fast = False
        return parent._sampled

    def _ask_sampler(self, context: Context) -> None:
        binding = self._binding
        if not self._trace_id:
            self._trace_id = binding.engine.ids.trace_id()
        self._span_id = binding.engine.ids.span_id()
        decision = binding.engine.sample(context, self._trace_id, self.name, binding.attributes, [])
        self._sampled = decision.sampled
        added = {key: value for key, value in decision.attributes.items() if key not in binding.attributes}
        if added:
            self.set_attributes(added)
