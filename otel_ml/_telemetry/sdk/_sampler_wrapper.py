"""The base of samplers that ask another sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes


class Question(NamedTuple):
    """The arguments of `Sampler.should_sample`, in its order."""

    parent_context: Context | None
    trace_id: int
    name: str
    kind: SpanKind | None
    attributes: Attributes
    links: Sequence[Link] | None
    trace_state: TraceState | None


class SamplerWrapper(Sampler):
    """A sampler around another one."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        return self._decide(Question(parent_context, trace_id, name, kind, attributes, links, trace_state))

    def _decide(self, question: Question) -> SamplingResult:
        raise NotImplementedError
