"""A service does not wait for an export, however much there is to export.

Python gives the interpreter to another thread after 5 ms, or when a thread sleeps. So our threads work in short steps and sleep between
them. Sources: open-telemetry/opentelemetry-python-contrib#1142 (an export holds the GIL for 10 ms), prometheus/client_python#374 and
prometheus/client_python#559 (so does a page, for 100 to 250 ms), claws/aioprometheus#98.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import otel_ml
from otel_ml._telemetry import ports
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml.quality import ReferenceProfile
from otel_ml.testing import InMemoryTelemetry


class Steps:
    """Counts the calls of functions on one thread between two looks at the clock.

    Args:
        thread: What the name of the thread contains.
    """

    def __init__(self, thread: str) -> None:
        self._thread = thread
        self.longest = self._calls = 0

    def run(self, function: Callable[[], object]) -> None:
        """Calls a function that starts the thread."""
        threading.setprofile(self._on_event)
        try:
            function()
        finally:
            threading.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, _: Any) -> None:
        if self._thread not in threading.current_thread().name:
            return
        if event in {"call", "c_call"}:
            self._calls += 1
            self.longest = max(self.longest, self._calls)
        if event == "call" and frame.f_code is yield_to_service.__code__:
            self._calls = 0


def four_models(*, has_profile: bool) -> list[otel_ml.Model]:
    """Makes models of 30 features, with or without a profile; each has counted a row."""
    columns = {f"feature_{index}": [number * 1.37 for number in range(200)] for index in range(30)}
    profile = ReferenceProfile.fit(columns) if has_profile else None
    made = [otel_ml.Model(f"m{number}", "1", profile=profile) for number in range(4)]
    for model in made:
        model.record(dict.fromkeys(columns, 1.0), prediction=1, score=0.9)
    return made


def export_steps(temporality: str, *, has_profile: bool) -> int:
    """Returns the calls of the longest step of a first export."""
    with InMemoryTelemetry(metric_temporality=temporality) as telemetry:
        made = four_models(has_profile=has_profile)
        steps = Steps("otel-ml-reader")
        steps.run(telemetry.flush)
        assert len(telemetry.metrics().get("ml.feature.values", [])) == 300 * len(made) * has_profile
    return steps.longest


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_profiles_make_no_step_of_an_export_longer(temporality: str) -> None:
    """However many bins there are, and also the first time, when their attributes are still to be encoded."""
    assert export_steps(temporality, has_profile=True) < 1.2 * export_steps(temporality, has_profile=False)


def page_steps(*, has_profile: bool) -> tuple[int, int]:
    """Returns the calls of the longest step of a first page and of the next one."""
    with InMemoryTelemetry(prometheus_port=0):
        made = four_models(has_profile=has_profile)
        engine = ports.state().engine
        assert engine is not None
        found = []
        for _ in range(2):
            steps = Steps("process_request")
            text = b""

            def read() -> None:
                nonlocal text
                with urllib.request.urlopen(engine.page.address, timeout=60) as answer:  # type: ignore[attr-defined]
                    text = answer.read()

            steps.run(read)
            found.append(steps.longest)
            assert text.count(b"\nml_feature_values_total{") == 300 * len(made) * has_profile
    return found[0], found[1]


def test_profiles_make_no_step_of_the_page_longer() -> None:
    """The first page renders the series in steps, and the next one only their values."""
    assert max(page_steps(has_profile=True)) < 1.2 * min(page_steps(has_profile=False))
