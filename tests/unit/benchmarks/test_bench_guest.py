"""The contenders of guest mode emit the same telemetry, so that their costs can be compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import otlp_receiver
import pytest
from otlp_receiver import Receiver

BENCH = Path(__file__).parents[2] / "benchmarks"
CALLS = 3
PROGRAM = f"""
import sys
sys.path.insert(0, {str(BENCH)!r})
from contender import CONTENDERS
from load import FEATURES, LOADS, predict

function, flush = CONTENDERS[sys.argv[1]](predict, LOADS["idle"])
for _ in range({CALLS}):
    function(FEATURES)
flush()
"""
TIMED = {"ml.prediction.id", "ml.prediction.duration"}

receiver = otlp_receiver.receiver


def attributes(carrier: Any) -> dict[str, Any]:
    """Attributes of a span, a record or a point, without values that differ from call to call."""
    return {
        item.key: "*" if item.key in TIMED else getattr(item.value, str(item.value.WhichOneof("value")))
        for item in carrier.attributes
    }


def emitted(receiver: Receiver) -> dict[str, Any]:
    """What arrived, without times and ids."""
    return {
        "spans": [(span.name, attributes(span)) for span in receiver.spans()],
        "events": [
            (record.event_name, record.severity_text, json.loads(record.body.string_value), attributes(record))
            for record in receiver.logs()
        ],
        "points": {
            name: [(attributes(point), getattr(point, "count", None) or point.as_int) for point in points]
            for name, points in receiver.metrics().items()
            if name.startswith("ml.prediction") and name != "ml.prediction.errors"
        },
    }


@pytest.fixture
def arrived(receiver: Receiver) -> dict[str, Any]:
    """What each contender emits, by its name."""
    found = {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    for name in ("guest_by_hand", "guest_ours"):
        receiver.accepted.clear()
        subprocess.run(
            [sys.executable, "-c", PROGRAM, name],
            env={**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
            check=True,
            timeout=120,
        )
        found[name] = emitted(receiver)
    return found


def test_by_hand_emits_what_guest_mode_emits(arrived: dict[str, Any]) -> None:
    """Spans, events and points have equal names, attributes, bodies and counts."""
    assert len(arrived["guest_ours"]["spans"]) == CALLS
    assert arrived["guest_by_hand"] == arrived["guest_ours"]
