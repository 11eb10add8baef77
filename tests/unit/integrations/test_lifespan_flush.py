"""The flush at the end of an ASGI lifespan."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

from otel_ml import _guard
from otel_ml._telemetry import ports
from otel_ml.integrations.fastapi import _flush


def test_in_own_mode_the_engine_is_flushed():
    """The engine gets a deadline on the monotonic clock."""
    deadlines = []
    ports.enter(ports.State("own", SimpleNamespace(flush=deadlines.append)))

    _flush.flush_in_force()

    assert [type(deadline) for deadline in deadlines] == [float]


def test_without_providers_there_is_nothing_to_flush():
    """Before `configure` the flush does nothing and raises nothing."""
    _flush.flush_in_force()

    assert _guard.counts() == {}


def test_the_wait_for_a_hanging_flush_ends(caplog):
    """The wait ends with one log line; the flush runs on."""
    release = threading.Event()

    asyncio.run(_flush.flush_in_time(release.wait, 0.01))
    asyncio.run(_flush.flush_in_time(release.wait, 0.01))
    release.set()

    assert caplog.messages == ["otel-ml: telemetry was not flushed in time at the end of the ASGI lifespan"]
