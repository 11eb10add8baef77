"""The OTel context is restored, and nothing is logged when that is impossible."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry import context as otel_context

from otel_ml._telemetry import contexts
from otel_ml._telemetry.contexts import detach


def test_detach_restores_the_context():
    """In one thread, what was current before `attach` is current again."""
    before = otel_context.get_current()
    token = otel_context.attach(otel_context.set_value("k", 1))
    detach(token)

    assert otel_context.get_current() is before


@pytest.mark.parametrize("end", ["another context", "twice"])
def test_a_token_that_does_not_fit_changes_and_logs_nothing(caplog, end):
    """A block that ends in another context, or a second time, leaves the current context alone."""
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


def test_foreign_tokens_go_back_to_their_implementation(monkeypatch):
    """Tokens of an implementation that OTEL_PYTHON_CONTEXT names go back to it."""
    given = []
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "detach", given.append)
    detach("a token of theirs")

    assert given == ["a token of theirs"]


def test_foreign_tokens_of_the_standard_type_go_back_too(monkeypatch):
    """The implementation is called even if its tokens are the standard library's."""
    given = []
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "detach", given.append)
    monkeypatch.setattr(contexts, "reset", otel_context.detach)
    kept = contextvars.ContextVar("kept", default=None)
    token = kept.set(1)
    detach(token)

    assert (given, kept.get()) == ([token], 1)


def test_direct_access_reaches_the_context_of_the_api():
    """Direct access and the API read what the other has set, also in a thread that has set nothing."""
    context = otel_context.set_value("k", 1)
    token = contexts.attach(context)
    try:
        assert otel_context.get_current() is context
        assert contexts.get_current() is context
    finally:
        detach(token)
    assert contextvars.Context().run(contexts.get_current) == {}
    assert (contexts.get_current, contexts.attach) != (otel_context.get_current, otel_context.attach)


def test_another_implementation_has_no_direct_access(monkeypatch):
    """An implementation that OTEL_PYTHON_CONTEXT names may do more than keep the context, so nothing bypasses it."""
    monkeypatch.setenv("OTEL_PYTHON_CONTEXT", "of_a_profiler")

    assert contexts._direct_access() == (otel_context.get_current, otel_context.attach, otel_context.detach)


@pytest.mark.parametrize(
    ("kept", "stored"), [(contextvars.ContextVar("kept", default=None), list), (contextvars.ContextVar("bare"), None)]
)
def test_an_implementation_that_stores_something_else_has_no_direct_access(monkeypatch, kept, stored):
    """It stores another object, or a thread that has set nothing cannot read its variable."""
    before = otel_context.get_current()
    store = kept.set if stored is None else lambda context: kept.set([context])
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "attach", store)
    monkeypatch.setattr(otel_context._RUNTIME_CONTEXT, "detach", lambda token: token.var.reset(token))

    assert contexts._direct_access() == (otel_context.get_current, otel_context.attach, otel_context.detach)
    assert (otel_context.get_current(), kept.get(None)) == (before, None)
