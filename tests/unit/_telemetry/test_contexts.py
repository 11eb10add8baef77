"""The OTel context is put back, and nothing is said where it cannot be."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry import context as otel_context

from otel_ml._telemetry.contexts import detach


def test_what_was_current_is_current_again():
    """The ordinary case."""
    before = otel_context.get_current()
    token = otel_context.attach(otel_context.set_value("k", 1))
    detach(token)

    assert otel_context.get_current() is before


@pytest.mark.parametrize("end", ["another context", "twice"])
def test_a_token_that_does_not_fit_changes_nothing_and_says_nothing(caplog, end):
    """A block that ends in another context, or that has ended already, leaves that context alone."""
    token = otel_context.attach(otel_context.set_value("k", 1))
    inside = otel_context.get_current()
    if end == "twice":
        detach(token)
        inside = otel_context.get_current()
        detach(token)
        assert otel_context.get_current() is inside
    else:
        contextvars.copy_context().run(detach, token)
        assert otel_context.get_current() is inside
        detach(token)

    assert caplog.records == []


def test_another_runtime_context_is_asked(monkeypatch):
    """Where OTEL_PYTHON_CONTEXT has put something else, its tokens go back to it."""
    given = []
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "detach", given.append)
    detach("a token of theirs")

    assert given == ["a token of theirs"]
