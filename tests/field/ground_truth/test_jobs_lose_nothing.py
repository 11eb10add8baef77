"""A batch job loses neither predictions nor events and spans to a full queue, and a service never waits for one.

Sources: open-telemetry/opentelemetry-specification#5178 and open-telemetry/opentelemetry-js#4184 (an offline job loses what the
exporter cannot keep up with, and would rather wait), LogentriesCommunity/le_python#48 (a full queue raised at the
caller, then blocked it), gradio-app/trackio#133 and cademirch/snakemake-logger-plugin-snkmt#19 (jobs that write while others
hold the SQLite file lose rows), mlflow/mlflow#4299 and #3010 (a batch was logged row by row),
mlflow/mlflow#24953 (one bad entry costs those it was merged with).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgresql_server import only_sqlite

import otel_ml
from otel_ml import GroundTruth, _guard
from otel_ml._export.answers import Answer
from otel_ml._export.ledger import Ledger
from otel_ml.testing import InMemoryTelemetry

ROWS = 30_000


@pytest.fixture
def truth(store_url: str) -> Iterator[GroundTruth]:
    """A store with a queue that a job fills at once."""
    _guard.reset()
    made = GroundTruth(store_url, queue_size=100)
    yield made
    made.close()


def predicted(truth: GroundTruth, model: str = "m") -> int:
    found: int = truth.compute_metrics(0, 4e9, model=model, by="predicted_at")["predicted"]
    return found


@pytest.mark.parametrize("step", [ROWS, 1000, 1])
def test_every_row_of_a_job_is_stored(kit: InMemoryTelemetry, truth: GroundTruth, step: int) -> None:
    """In one call, in many and row by row: the job waits for room, and each row has its label's place."""
    rows = ROWS if step > 1 else 1000
    model = otel_ml.Model("m", ground_truth=truth)

    for start in range(0, rows, step):
        ids = [f"r{start + index}" for index in range(step)]
        model.record(None, prediction=["1"] * step, id=ids, batch=True)

    assert truth.flush(60)
    assert (predicted(truth), truth.account().stored, truth.account().refused) == (rows, rows, {})
    assert truth.record_labels({f"r{index}": "1" for index in (0, rows // 2, rows - 1)}) == {"matched": 3}


@only_sqlite
def test_rows_beyond_the_first_100_000_wait_too(truth: GroundTruth) -> None:
    """A batch that is read in slices is stored whole."""
    with InMemoryTelemetry():
        model = otel_ml.Model("m", task="binary", classes=[0, 1], ground_truth=truth)
        model.record(None, prediction=np.arange(120_000) % 2, batch=True)

    assert truth.flush(60)
    assert (predicted(truth), truth.account().refused) == (120_000, {})


def test_jobs_in_several_threads_lose_nothing(truth: GroundTruth) -> None:
    """Each of them waits for its own room."""
    with InMemoryTelemetry():
        model = otel_ml.Model("m", ground_truth=truth)
        threads = [
            threading.Thread(target=lambda: [model.record(None, prediction=["1"] * 500, batch=True) for _ in range(10)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert truth.flush(60)
    assert (predicted(truth), truth.account().refused) == (20_000, {})


def test_jobs_that_find_room_at_once_do_not_lose_it_to_each_other(truth: GroundTruth) -> None:
    """Room that another thread takes first is waited for again."""
    truth._writer._backpressure._has_room = lambda: True  # as seen by each of them just before another one takes it
    with InMemoryTelemetry():
        model = otel_ml.Model("m", ground_truth=truth)
        for _ in range(2):
            model.record(None, prediction=["1"] * 100, batch=True)

    assert truth.flush(60)
    assert (truth.account().stored, truth.account().refused) == (200, {})


@only_sqlite
def test_a_job_waits_while_another_process_holds_the_file(truth: GroundTruth, tmp_path: Path) -> None:
    """The rows are stored once the file is free, and none is lost."""
    holder = sqlite3.connect(tmp_path / "predictions.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")

    def release() -> None:
        holder.execute("ROLLBACK")
        holder.close()

    later = threading.Timer(0.3, release)
    later.start()
    with InMemoryTelemetry():
        model = otel_ml.Model("m", ground_truth=truth)
        for _ in range(5):
            model.record(None, prediction=["1"] * 100, batch=True)
    later.join()

    assert truth.flush(60)
    assert (predicted(truth), truth.account().refused) == (500, {})


def test_a_job_does_not_wait_for_ever(
    kit: InMemoryTelemetry, truth: GroundTruth, caplog: pytest.LogCaptureFixture
) -> None:
    """Without progress it gives up, once: nothing is raised, what is left is counted, and one line says so."""
    truth._writer._start = lambda: None  # type: ignore[method-assign]
    truth._writer._backpressure._stall_timeout = 0.05
    model = otel_ml.Model("m", ground_truth=truth)

    for _ in range(20):
        model.record(None, prediction=["1"] * 100, batch=True)

    assert truth.account()[:3] == (0, {"queue_full": 1900}, 100)
    assert [line for line in caplog.messages if "queue of the prediction store is full" in line]
    refused = kit.metrics()["otelml.ground_truth.refused"]
    assert [(point["attributes"]["otelml.refusal.reason"], point["value"]) for point in refused] == [
        ("queue_full", 1900)
    ]
    del truth._writer._start
    truth._writer._start()


@pytest.mark.parametrize("events", ["all", "off"])
def test_a_job_loses_no_event_and_no_span(events: Any) -> None:
    """Where calls come faster than they are encoded, the job waits for the encoder."""
    with InMemoryTelemetry(queue_size=8) as kit:
        model = otel_ml.Model("m", events=events)
        for _ in range(300):
            model.record([{"a": 1.0}], prediction=["1"], batch=True)
        kit.flush()
        ledger = kit.ledger()

    assert ledger["traces"] == Ledger(300, 300)
    assert ledger["logs"] == (Ledger(300, 300) if events == "all" else Ledger())


class Gate(list[Answer]):
    """Answers of a receiver that takes nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__([Answer("accepted")])
        self.opened = threading.Event()

    def pop(self, _: Any = 0) -> Answer:
        self.opened.wait(10)
        return self[0]


def test_a_job_waits_for_a_slow_receiver() -> None:
    """The oldest records are not given up for newer ones while the receiver can still take them."""
    with InMemoryTelemetry(queue_size=40, send_queue_size=100) as kit:
        gates = [Gate(), Gate()]
        kit.transports["traces"].answers, kit.transports["logs"].answers = gates
        model = otel_ml.Model("m", events="all")
        timers = [threading.Timer(0.3, gate.opened.set) for gate in gates]
        for timer in timers:
            timer.start()
        for _ in range(400):
            model.record([{"a": 1.0}], prediction=["1"], batch=True)
        for timer in timers:
            timer.join()
        kit.flush()
        ledger = kit.ledger()

    assert (ledger["traces"], ledger["logs"]) == (Ledger(400, 400), Ledger(400, 400))


def test_a_service_never_waits(truth: GroundTruth) -> None:
    """A tracked call and a single record lose what finds no room, which is counted, and return at once."""
    truth._writer._start = lambda: None  # type: ignore[method-assign]
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("m", task="binary", classes=["0", "1"], ground_truth=truth)
        predict = model.track(lambda rows: ["1"] * len(rows))
        for _ in range(3):
            predict([{"a": 1.0}] * 70)
            kit.flush()
        model.record({"a": 1.0}, prediction="1")
        kit.flush()

    assert truth.account()[:3] == (0, {"queue_full": 71}, 140)
    del truth._writer._start
    truth._writer._start()
