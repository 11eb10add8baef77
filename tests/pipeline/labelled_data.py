"""Predictions and late labels of each task, from a fixed seed: what replicas record, and what scikit-learn says of it.

python labelled_data.py REPLICAS STORE    records the predictions and labels of all tasks with that many processes
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

import otel_ml

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Barrier

ROWS = 480
"""Divisible by the numbers of replicas."""
NAMES = ["a", "b", "c"]


@dataclass(frozen=True)
class Task:
    """The predictions of one model and their labels."""

    name: str
    outputs: list[dict[str, Any]]
    """Keywords of `Model.record`."""
    labels: list[Any]
    classes: list[str] | None = None
    arrays: dict[str, Any] = field(default_factory=dict)
    """The same for scikit-learn."""


def binary() -> Task:
    rng = np.random.default_rng(1)
    score = rng.random(ROWS)
    actual = (rng.random(ROWS) < score**1.5).astype(int)
    predicted = (score >= 0.5).astype(int)
    outputs = [{"prediction": int(p), "score": float(s)} for p, s in zip(predicted, score, strict=True)]
    return Task("binary", outputs, actual.tolist(), ["0", "1"], {"y": actual, "p": score, "z": predicted})


def multiclass() -> Task:
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet((1, 1, 1), ROWS)
    actual = np.array([rng.choice(3, p=row) for row in probabilities])
    predicted = probabilities.argmax(axis=1)
    outputs = [
        {"prediction": NAMES[p], "score": dict(zip(NAMES, row.tolist(), strict=True))}
        for p, row in zip(predicted, probabilities, strict=True)
    ]
    labels = [NAMES[place] for place in actual]
    return Task("multiclass", outputs, labels, NAMES, {"y": actual, "p": probabilities, "z": predicted})


def multilabel() -> Task:
    rng = np.random.default_rng(3)
    probabilities = rng.random((ROWS, 3))
    actual = (rng.random((ROWS, 3)) < probabilities).astype(int)
    predicted = (probabilities >= 0.5).astype(int)
    outputs = [
        {"prediction": _named(row), "score": dict(zip(NAMES, shares.tolist(), strict=True))}
        for row, shares in zip(predicted, probabilities, strict=True)
    ]
    labels = [_named(row) for row in actual]
    return Task("multilabel", outputs, labels, NAMES, {"y": actual, "p": probabilities, "z": predicted})


def regression() -> Task:
    rng = np.random.default_rng(4)
    actual = rng.gamma(2.0, 50.0, ROWS)
    predicted = actual * rng.normal(1.05, 0.2, ROWS)
    outputs = [{"prediction": float(value)} for value in predicted]
    return Task("regression", outputs, actual.tolist(), None, {"y": actual, "z": predicted})


def ranking() -> Task:
    rng = np.random.default_rng(5)
    items = [f"item{place:02d}" for place in range(20)]
    orders = [rng.permutation(20) for _ in range(ROWS)]
    gains = rng.integers(1, 4, (ROWS, 20)) * (rng.random((ROWS, 20)) < 0.08)
    gains[gains.sum(axis=1) == 0, 0] = 1
    outputs = [{"prediction": [items[place] for place in order]} for order in orders]
    labels = [{items[place]: int(row[place]) for place in np.flatnonzero(row)} for row in gains]
    scores = np.array([[20.0 - order.tolist().index(place) for place in range(20)] for order in orders])
    return Task("ranking", outputs, labels, None, {"y": gains, "p": scores})


def _named(row: Any) -> list[str]:
    return [name for name, present in zip(NAMES, row, strict=True) if present]


@cache
def profile(name: str) -> otel_ml.ReferenceProfile | None:
    """The reference of a task whose performance is estimated before its labels: 2,000 other rows of the same kind."""
    rng = np.random.default_rng(6)
    if name == "binary":
        score = rng.random(2_000)
        frame = {"p": score, "y": (rng.random(2_000) < score**1.5).astype(int)}
        return otel_ml.ReferenceProfile.fit(frame, score="p", label="y")
    if name == "multiclass":
        shares = rng.dirichlet((1, 1, 1), 2_000)
        columns = dict(zip(NAMES, shares.T, strict=True))
        labels = [NAMES[rng.choice(3, p=row)] for row in shares]
        return otel_ml.ReferenceProfile.fit({**columns, "y": labels}, score={each: each for each in NAMES}, label="y")
    return None


TASKS = (binary, multiclass, multilabel, regression, ranking)
PAIRS = 240
"""Ids that all versions of a model predict; divisible by the numbers of replicas."""
ROLES = {"primary": "1", "canary": "2", "shadow": "3"}
"""The versions of a model that predict the same ids, by role."""


def classes_of_versions() -> dict[str, Any]:
    """The classes that each role predicts, and the true ones: the canary is worse, the shadow as good as the primary."""
    rng = np.random.default_rng(6)
    actual = rng.integers(0, 2, PAIRS)
    wrong = {"primary": 0.1, "canary": 0.5, "shadow": 0.1}
    return {"actual": actual, **{role: actual ^ (rng.random(PAIRS) < share) for role, share in wrong.items()}}


def numbers_of_versions() -> dict[str, Any]:
    """The numbers that each role predicts, and the true ones: the shadow has smaller errors."""
    rng = np.random.default_rng(7)
    actual = rng.gamma(2.0, 50.0, PAIRS)
    return {
        "actual": actual,
        **{role: actual + rng.normal(0, size, PAIRS) for role, size in (("primary", 9), ("shadow", 3))},
    }


VERSIONS = {"binary": classes_of_versions, "regression": numbers_of_versions}
"""What several versions predict under the same ids, by task; the model is named ``versions of`` it."""


def serve(replica: int, replicas: int, store: str, barrier: Barrier) -> None:
    """Records a share of the predictions of each task, and then another share of the labels."""
    telemetry = otel_ml.configure(service_name=f"replicas-{replicas}")
    truth = otel_ml.GroundTruth(store)
    tasks = [make() for make in TASKS]
    for task in tasks:
        model = otel_ml.Model(
            task.name,
            "1",
            task=task.name,  # type: ignore[arg-type]
            classes=task.classes,
            ground_truth=truth,
            profile=profile(task.name),
        )
        for row in range(replica, ROWS, replicas):
            model.record(None, id=f"{task.name}-{row}", **task.outputs[row])
    predict_versions(truth, replica, replicas)
    assert truth.flush(60)
    assert telemetry.force_flush(60)
    barrier.wait(120)
    for task in tasks:
        rows = range((replica + 1) % replicas, ROWS, replicas)
        states = truth.record_labels(((f"{task.name}-{row}", task.labels[row]) for row in rows), model=task.name)
        assert states == {"matched": len(rows)}, (task.name, states)
    for task_name, versions in VERSIONS.items():
        rows = range((replica + 1) % replicas, PAIRS, replicas)
        actual = versions()["actual"].tolist()
        truth.record_labels(((f"{task_name}-{row}", actual[row]) for row in rows), model=f"versions of {task_name}")
    barrier.wait(120)
    assert telemetry.force_flush(60)
    assert telemetry.shutdown(60)


def predict_versions(truth: otel_ml.GroundTruth, replica: int, replicas: int) -> None:
    """Records a share of the predictions of several versions; each version comes from another process."""
    for task, versions in VERSIONS.items():
        outputs = versions()
        for place, role in enumerate(each for each in ROLES if each in outputs):
            model = otel_ml.Model(f"versions of {task}", ROLES[role], role=role, task=task, ground_truth=truth)  # type: ignore[arg-type]
            for row in range((replica + place) % replicas, PAIRS, replicas):
                model.record(None, prediction=outputs[role][row].item(), id=f"{task}-{row}")


def fork_replicas(serve: Callable[[int, int, str, Barrier], None]) -> int:
    """Runs `serve` in as many processes as the command line says; returns 1 if one failed."""
    replicas, store = int(sys.argv[1]), sys.argv[2]
    for name in ("sqlalchemy.dialects.sqlite", "otel_ml._telemetry.engine", "otel_ml.ground_truth"):
        importlib.import_module(name)  # once, and not in each process
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(replicas)
    children = [context.Process(target=serve, args=(each, replicas, store, barrier)) for each in range(replicas)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return int(any(child.exitcode for child in children))


if __name__ == "__main__":
    os.environ.setdefault("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    for make in TASKS:
        profile(make.__name__)  # once, before the fork
    sys.exit(fork_replicas(serve))
