"""Errors are logged once per cause, within limits that silence no line of another kind."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest

from otel_ml import _guard
from otel_ml._export.export_log import ExportLog


@pytest.fixture(autouse=True)
def _fresh_guard():
    _guard.reset()
    yield
    _guard.reset()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.WARNING, "otel_ml")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "otel_ml"]


def failed(where):
    _guard.report(where, ValueError("secret"))


def test_a_cause_is_logged_once_and_counted_always(lines):
    """The first error of a place is logged; repeats are only counted."""
    for _ in range(3):
        failed("room.step")

    assert lines() == [
        "otel-ml: room.step failed with ValueError at unknown: the service is unaffected; repeats are only counted"
    ]
    assert _guard.counts() == {"room.step": 3}


def test_lines_are_limited_and_the_limit_is_logged(lines):
    """Beyond 256 causes one last line says that the rest is not logged; all are counted."""
    for number in range(300):
        failed(f"room.step{number}")

    assert len(lines()) == 257
    assert lines()[-1] == "otel-ml: more than 256 different lines about errors; the rest is not logged"
    assert len(_guard.counts()) == 300


def test_errors_and_hints_silence_no_line_about_losses(lines):
    """A receiver that refuses, warns or goes down is logged after any number of other lines."""
    for number in range(300):
        failed(f"room.step{number}")
        _guard.warn_once(f"hint {number}", f"hint {number}")
    before = len(lines())
    log = ExportLog("http://receiver")
    log.refused("traces", "HTTP 400")
    log.accepted("logs", 3)
    log.accepted("logs", 0, "with a warning")
    log.unreachable("metrics", "no answer in time")
    _guard.warn_of_loss("spool full", "the spool is full")

    assert [line.partition(" ")[2][:40] for line in lines()[before:]] == [
        "http://receiver refused traces with HTTP",
        "http://receiver accepted logs only in pa",
        "http://receiver accepted logs with a war",
        "cannot export metrics to http://receiver",
        "spool is full",
    ]


def test_a_reset_clears_counts_and_causes(lines):
    """A forked child logs its own lines."""
    failed("room.step")
    _guard.reset()
    failed("room.step")

    assert len(lines()) == 2
    assert _guard.counts() == {"room.step": 1}


def test_a_caught_exception_keeps_nothing_alive() -> None:
    """What the callers of a failing step held is freed at once, not at the next run of the garbage collector."""

    class Held:
        pass

    def step(held: Held) -> None:
        _guard.attempt(int, "no number")
        _guard.call("test", int, "no number")

    gc.collect()
    gc.disable()
    try:
        held = Held()
        alive = weakref.ref(held)
        step(held)
        del held
        assert alive() is None
    finally:
        gc.enable()
