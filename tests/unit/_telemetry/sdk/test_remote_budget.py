"""The rate limit for remote callers who force sampling."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased

from otel_ml._telemetry.sdk._remote_budget import RemoteBudget


def parent(*, remote: bool, sampled: bool):
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
    return trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(1, 2, remote, flags)))


def decisions(sampler, context, count):
    return [sampler.should_sample(context, 1, "n").decision is Decision.RECORD_AND_SAMPLE for _ in range(count)]


def test_forced_traces_are_admitted_by_rate():
    """The traces of one second may come at once, then the rate limits them, by time and not by trace id."""
    now = [100.0]
    sampler = RemoteBudget(ParentBased(ALWAYS_ON), 3, now=lambda: now[0])
    forced = parent(remote=True, sampled=True)
    first = decisions(sampler, forced, 5)
    now[0] += 1 / 3 + 0.001
    second = decisions(sampler, forced, 2)
    now[0] += 3600
    third = decisions(sampler, forced, 5)

    assert first == third == [True, True, True, False, False]
    assert second == [True, False]


def test_all_other_spans_are_decided_by_the_wrapped_sampler():
    """Roots, local parents and unsampled remote parents do not use the budget."""
    sampler = RemoteBudget(ParentBased(ALWAYS_OFF), 1, now=lambda: 0.0)
    others = [None, parent(remote=True, sampled=False), parent(remote=False, sampled=True)]

    assert [decisions(sampler, context, 3) for context in others] == [[False] * 3, [False] * 3, [True] * 3]
    assert decisions(sampler, parent(remote=True, sampled=True), 1) == [True]


@pytest.mark.parametrize(("rate", "admitted"), [(0, 0), (0.5, 1)])
def test_small_budgets(rate, admitted):
    """Zero admits no trace; less than one a second still admits one at the start."""
    sampler = RemoteBudget(ALWAYS_ON, rate, now=lambda: 0.0)

    assert sum(decisions(sampler, parent(remote=True, sampled=True), 3)) == admitted


def test_the_setting_reaches_the_provider(make_engine):
    """`remote_traces_per_second` limits predictions and SDK spans."""
    engine = make_engine(remote_traces_per_second=1)
    forced = parent(remote=True, sampled=True)
    sdk_spans = [engine.tracer("t").start_span("s", context=forced).is_recording() for _ in range(3)]

    assert (sum(sdk_spans), engine.sample(forced, 1, "predict m", {}, []).sampled) == (1, False)
