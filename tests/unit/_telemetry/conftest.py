"""A receiver, and engines that send to it."""

from __future__ import annotations

import time

import pytest
from scripted_receiver import Receiver

from otel_ml import _guard
from otel_ml._telemetry._engine import OwnEngine
from otel_ml.config import Config


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _fresh_guard():
    _guard.reset()
    yield
    _guard.reset()


@pytest.fixture
def make_engine(receiver, tmp_path):
    """Engines that send to the receiver; ended after the test."""
    engines: list[OwnEngine] = []

    def make(*, periodic: bool = False, **settings) -> OwnEngine:
        settings = {
            "service_name": "unit",
            "endpoint": receiver.url,
            "instance_dir": str(tmp_path),
            "timeout": 5.0,
            **settings,
        }
        engine = OwnEngine(Config(**settings), periodic=periodic)
        engines.append(engine)
        return engine

    yield make
    receiver.released.set()
    for engine in engines:
        engine.shutdown(time.monotonic() + 2)
