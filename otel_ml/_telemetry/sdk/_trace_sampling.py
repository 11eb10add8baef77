"""Asks the provider's sampler about our own spans, or decides by its rule without a call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import Decision as SdkDecision
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from otel_ml import _guard
from otel_ml._telemetry.ports import SamplingRule
from otel_ml._telemetry.sdk._remote_budget import RemoteBudget

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.trace import Link

    from otel_ml._telemetry.records import Attributes, AttributeValue

_SDK: Final = "opentelemetry.sdk.trace.sampling"
_PARENT_BASED: Final = re.compile(
    r"ParentBased\{root:(?P<root>.+),remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    r"localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler\}"
)
_RATIO: Final = re.compile(r"TraceIdRatioBased\{(?P<rate>[0-9.e-]+)\}")


@dataclass(slots=True)
class Decision:
    """A sampler's decision about one span."""

    sampled: bool
    trace_state: str
    attributes: Mapping[str, AttributeValue]


_NOT_SAMPLED: Final = Decision(sampled=False, trace_state="", attributes={})


class SpanSampling:
    """Decides whether our own spans are sampled, as the provider's sampler would.

    Attributes:
        rule: The sampler as a rule; None if it has to be asked about each span.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.rule = _guard.call("engine.sampling", read_rule, sampler)

    def sample(  # noqa: PLR0913 - a span's kind is a keyword
        self,
        context: Context,
        trace_id: int,
        name: str,
        attributes: Attributes,
        links: list[Link],
        *,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    ) -> Decision:
        """Asks the sampler; a span is not sampled if it raises."""

        def ask() -> Decision:
            result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links)
            state = result.trace_state
            sampled = result.decision is SdkDecision.RECORD_AND_SAMPLE
            return Decision(sampled, state.to_header() if state else "", dict(result.attributes))

        decision = _guard.call("engine.sample", ask)
        return _NOT_SAMPLED if decision is None else decision

    def reset_after_fork(self) -> None:
        """Replaces the locks of our own sampler."""
        if isinstance(self.sampler, RemoteBudget):
            self.sampler.reset_after_fork()


def read_rule(sampler: Sampler) -> SamplingRule | None:
    """Returns the rule that decides as this sampler does; None unless it is one of the SDK's own samplers.

    It reads `get_description`, which is the only way to ask a sampler for its parameters.
    """
    if type(sampler).__module__ != _SDK:
        return None
    description = sampler.get_description()
    parent_based = _PARENT_BASED.fullmatch(description)
    bound = _bound(parent_based["root"] if parent_based else description)
    return None if bound is None else SamplingRule(follows_parent=parent_based is not None, bound=bound)


def _bound(description: str) -> int | None:
    if description == "AlwaysOnSampler":
        return TraceIdRatioBased.TRACE_ID_LIMIT + 1
    if description == "AlwaysOffSampler":
        return 0
    ratio = _RATIO.fullmatch(description)
    return None if ratio is None else TraceIdRatioBased.get_bound_for_rate(float(ratio["rate"]))
