"""A service does not wait for an export, however much there is to export.

Python gives the interpreter to another thread after 5 ms, or when a thread sleeps. So our threads work in short steps and sleep between
them. Sources: open-telemetry/opentelemetry-python-contrib#1142 (an export holds the GIL for 10 ms), prometheus/client_python#374 and
prometheus/client_python#559 (so does a page, for 100 to 250 ms), claws/aioprometheus#98.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import otel_ml
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml.quality import ReferenceProfile
from otel_ml.testing import InMemoryTelemetry


class Steps:
    """Counts the calls of functions on the reader's thread between two looks at the clock."""

    def __init__(self) -> None:
        self.longest = self.looks = self._calls = 0

    def run(self, function: Callable[[], object]) -> None:
        """Runs a function that starts the thread."""
        threading.setprofile(self._on_event)
        try:
            function()
        finally:
            threading.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, _: Any) -> None:
        if threading.current_thread().name != "otel-ml-reader":
            return
        if event in {"call", "c_call"}:
            self._calls += 1
            self.longest = max(self.longest, self._calls)
        if event == "call" and frame.f_code is yield_to_service.__code__:
            self.looks, self._calls = self.looks + 1, 0


def predict_with(models: int) -> list[otel_ml.Model]:
    """Makes models with a profile of 30 features, each of which has counted a row."""
    columns = {f"feature_{index}": [number * 1.37 for number in range(200)] for index in range(30)}
    profile = ReferenceProfile.fit(columns)
    made = [otel_ml.Model(f"m{number}", "1", profile=profile) for number in range(models)]
    for model in made:
        model.record(dict.fromkeys(columns, 1.0), prediction=1, score=0.9)
    return made


def longest_step(models: int, temporality: str) -> int:
    """Returns the calls of the longest step of a first export."""
    with InMemoryTelemetry(metric_temporality=temporality) as telemetry:
        made = predict_with(models)
        steps = Steps()
        steps.run(telemetry.flush)
        assert len(telemetry.metrics().get("ml.feature.values", [])) == 300 * len(made)
    return steps.longest


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_profiles_make_no_step_of_an_export_longer(temporality: str) -> None:
    """However many bins there are, and also the first time, when their attributes are still to be encoded."""
    assert longest_step(4, temporality) < 1.2 * longest_step(0, temporality)
