"""A receiver and engines that send to it."""

from __future__ import annotations

import time

import otlp_receiver
import pytest

from otel_ml._telemetry.engine import OwnEngine
from otel_ml.config import Config

receiver = otlp_receiver.receiver
fresh_guard = otlp_receiver.fresh_guard


@pytest.fixture
def make_engine(receiver, tmp_path):
    """Makes engines that send to the receiver; they are shut down after the test."""
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
    receiver.close()
    for engine in engines:
        engine.shutdown(time.monotonic() + 2)
