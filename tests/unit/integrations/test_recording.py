"""Where HTTP telemetry goes, and how it is flushed."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from otel_ml import _guard
from otel_ml._telemetry import ports
from otel_ml.integrations.fastapi import _recording


@pytest.fixture(autouse=True)
def undecided():
    _guard.reset()
    yield
    ports.enter(None)
    _guard.reset()


def test_in_own_mode_the_engine_is_flushed():
    """The engine gets a deadline on the monotonic clock."""
    deadlines = []
    ports.enter(ports.State("own", SimpleNamespace(flush=deadlines.append)))

    _recording.flush_in_force()

    assert [type(deadline) for deadline in deadlines] == [float]


def test_without_providers_there_is_nothing_to_flush():
    """Before anything is configured the flush does nothing, and nothing goes wrong."""
    _recording.flush_in_force()

    assert _guard.counts() == {}


def test_a_flush_that_hangs_is_left_behind(caplog):
    """The wait ends, with one line, although the flush does not."""
    release = threading.Event()

    asyncio.run(_recording.flush_in_time(release.wait, 0.01))
    asyncio.run(_recording.flush_in_time(release.wait, 0.01))
    release.set()

    assert caplog.messages == ["otel-ml: telemetry was not flushed in time at the end of the ASGI lifespan"]


def test_the_outlet_follows_the_mode():
    """Tracer and instruments are those of the engine in force, and are looked up again when it changes."""
    asked = []

    class Meter:
        def create_histogram(self, name, *args, **kwargs):
            asked.append(name)

        create_up_down_counter = create_histogram

    engine = SimpleNamespace(tracer=lambda name: f"tracer of {name}", meter=lambda name: Meter(), requests=None)
    outlet = _recording.Outlet()
    outlet.refresh()
    ports.enter(ports.State("own", engine))

    assert (outlet.mode, outlet.refresh(), outlet.refresh(), outlet.mode) == ("guest", True, False, "own")
    assert outlet.tracer == "tracer of otel_ml"
    assert asked == ["http.server.request.duration", "http.server.active_requests"]
