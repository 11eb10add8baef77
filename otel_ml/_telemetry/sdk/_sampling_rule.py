"""The SDK's own samplers as a rule of two values, so that a prediction need not call them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from otel_ml._telemetry.ports import SamplingRule

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

_SDK: Final = "opentelemetry.sdk.trace.sampling"
_PARENT_BASED: Final = re.compile(
    r"ParentBased\{root:(?P<root>.+),remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    r"localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler\}"
)
_RATIO: Final = re.compile(r"TraceIdRatioBased\{(?P<rate>[0-9.e-]+)\}")


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
