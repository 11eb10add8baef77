"""A job that loads many labels loses no event, and takes turns with the service that writes to the same file.

Sources: open-telemetry/opentelemetry-python#4336 (a burst of log records is dropped from a full queue), jo20ow/Obsyd#101 (a
backfill fails because the service holds the SQLite file), Arize-ai/phoenix#3949 ("database is locked" under concurrent writes).
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LogRecordProcessor

import otel_ml
from otel_ml import GroundTruth
from otel_ml.testing import InMemoryTelemetry

LABELS = 4000


class Foreign(LogRecordProcessor):
    """A processor of the service."""

    def __init__(self) -> None:
        self.seen = 0

    def on_emit(self, log_record: object) -> None:
        self.seen += 1

    def shutdown(self) -> None:
        """Does nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def labelled(tmp_path: Path) -> dict[str, int]:
    """Records many predictions and all their labels; returns the states."""
    truth = GroundTruth(f"sqlite:///{tmp_path}/p.db")
    model = otel_ml.Model("m", events="off", ground_truth=truth)
    model.record(None, prediction=["1"] * LABELS, id=[f"r{index}" for index in range(LABELS)], batch=True)
    assert truth.flush(60)
    states = truth.record_labels({f"r{index}": "1" for index in range(LABELS)})
    truth.close()
    return states


@pytest.mark.parametrize("is_foreign", [False, True], ids=["ours", "foreign processor"])
def test_every_label_has_its_event(tmp_path: Path, is_foreign: bool) -> None:
    """However many there are: the job waits while the queue is full."""
    with InMemoryTelemetry(log_queue_size=64, queue_size=64) as telemetry:
        foreign = Foreign()
        if is_foreign:
            _logs.get_logger_provider().add_log_record_processor(foreign)

        assert labelled(tmp_path) == {"matched": LABELS}

        events = [event for event in telemetry.logs() if event["event_name"] == "ml.label"]
        assert (len(events), len({event["attributes"]["ml.prediction.id"] for event in events})) == (LABELS, LABELS)
        assert telemetry.ledger()["logs"].dropped == {}
        assert foreign.seen >= LABELS * is_foreign


def test_a_job_waits_for_the_service_that_writes(tmp_path: Path) -> None:
    """The file is locked in the middle of the job: its labels are recorded once it is free."""
    url = f"sqlite:///{tmp_path}/p.db"
    with InMemoryTelemetry():
        truth = GroundTruth(url)
        service = sqlite3.connect(tmp_path / "p.db", isolation_level=None, check_same_thread=False)
        is_held = threading.Event()

        def labels():
            for index in range(1500):
                if index == 1200:
                    service.execute("BEGIN IMMEDIATE")
                    threading.Timer(0.2, service.execute, ["COMMIT"]).start()
                    is_held.set()
                yield f"r{index}", 1

        assert truth.record_labels(labels()) == {"waiting": 1500}
        assert is_held.is_set()
        truth.close()
        service.close()
