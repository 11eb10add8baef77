"""The OTel context is put back, and nothing is said where it cannot be."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry import context as otel_context

from otel_ml._telemetry import contexts
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


def test_another_keeper_gets_its_tokens_back(monkeypatch):
    """One that OTEL_PYTHON_CONTEXT names is told of every end, also where its tokens are the standard library's."""
    given = []
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "detach", given.append)
    monkeypatch.setattr(contexts, "reset", otel_context.detach)
    kept = contextvars.ContextVar("kept", default=None)
    token = kept.set(1)
    detach(token)

    assert (given, kept.get()) == ([token], 1)


def test_the_short_way_is_the_api_s_own_context():
    """What is set by it is what the API reads, the other way round, and in a thread that has nothing yet."""
    context = otel_context.set_value("k", 1)
    token = contexts.attach(context)
    try:
        assert otel_context.get_current() is context
        assert contexts.get_current() is context
    finally:
        detach(token)
    assert contextvars.Context().run(contexts.get_current) == {}
    assert (contexts.get_current, contexts.attach) != (otel_context.get_current, otel_context.attach)


def test_another_keeper_of_the_context_is_asked_itself(monkeypatch):
    """A runtime context that OTEL_PYTHON_CONTEXT names may do more than keep: nothing goes past it."""
    monkeypatch.setenv("OTEL_PYTHON_CONTEXT", "of_a_profiler")

    assert contexts._shortest() == (otel_context.get_current, otel_context.attach, otel_context.detach)


@pytest.mark.parametrize(
    ("kept", "stored"), [(contextvars.ContextVar("kept", default=None), list), (contextvars.ContextVar("bare"), None)]
)
def test_a_keeper_that_works_in_another_way_is_asked_itself(monkeypatch, kept, stored):
    """It stores something else, or a thread in which nothing was set cannot read its variable."""
    before = otel_context.get_current()
    store = kept.set if stored is None else lambda context: kept.set([context])
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "attach", store)
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "detach", lambda token: token.var.reset(token))

    assert contexts._shortest() == (otel_context.get_current, otel_context.attach, otel_context.detach)
    assert (otel_context.get_current(), kept.get(None)) == (before, None)
