"""Labels a second into a store, SQLite or PostgreSQL, with all counts and events on their way to a receiver; JSON.

`GroundTruth.record_labels` gets a frame with a label for each of 100,000 stored predictions, until all events have
arrived. The figures are microseconds of CPU a label, of this process and together with the processes of the PostgreSQL
server (a core does 20,000 labels a second at 50), and the labels that were not matched or whose events were lost.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from stored import open_store

LABELS, BATCH = 100_000, 10_000


def labels_sqlite() -> dict[str, float]:
    """Into a file."""
    store = open_store()
    try:
        return _measured(store, lambda: 0.0)
    finally:
        store.close()


def labels_postgresql() -> dict[str, float]:
    """Into a server of its own."""
    sys.path.append(str(Path(__file__).parents[1]))
    from postgresql_server import Server

    from otel_ml import GroundTruth

    server = Server()
    store = GroundTruth(server.url(server.new_schema()))
    try:
        return _measured(store, lambda: _cpu_of_children(server._process.pid))
    finally:
        store.close()
        server.close()


def _measured(store: Any, server_cpu: Callable[[], float]) -> dict[str, float]:
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench")
    model = otel_ml.Model("bench", "1", task="binary", classes=[0, 1], events="off", ground_truth=store)
    random = np.random.default_rng(3)
    ids, scores = [f"order-{number}" for number in range(LABELS)], random.random(LABELS)
    for start in range(0, LABELS, BATCH):
        part = scores[start : start + BATCH]
        predicted = (part > 0.5).astype(int)
        model.record(None, prediction=predicted, score=part, id=ids[start : start + BATCH], batch=True)
    store.flush(120.0)
    telemetry.force_flush(30.0)
    frame = pd.DataFrame({"prediction_id": ids, "label": random.integers(0, 2, LABELS)})
    began, cpu, others = time.perf_counter(), time.process_time(), server_cpu()
    states = store.record_labels(frame)
    telemetry.force_flush(60.0)
    cpu, wall, others = time.process_time() - cpu, time.perf_counter() - began, server_cpu() - others
    telemetry.shutdown()
    lost = LABELS - states.get("matched", 0) + sum(telemetry.ledger()["logs"].dropped.values())
    seconds = {"cpu_us": cpu, "all_cpu_us": cpu + others, "wall_us": wall}
    return {"lost": lost, **{name: each / LABELS * 1e6 for name, each in seconds.items()}}


def _cpu_of_children(pid: int) -> float:
    """Returns the CPU seconds of a server and its processes so far."""
    server = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (server, *server.children()))


CONTENDERS = {setup.__name__: setup for setup in (labels_sqlite, labels_postgresql)}


def main() -> None:
    """Measures one store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=list(CONTENDERS))
    logging.disable(logging.WARNING)
    print(json.dumps(CONTENDERS[parser.parse_args().name]()))


if __name__ == "__main__":
    main()
