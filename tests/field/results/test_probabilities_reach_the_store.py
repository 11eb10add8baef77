"""What a model says about each class arrives at the store, through every way in which a prediction is recorded.

Sources: scikit-learn/scikit-learn#19880 and #4199 (a list of arrays from predict_proba, some of one column), openml/automlbenchmark#212
and imbs-hl/ranger#125 (columns in another order than the classes), benfred/implicit#624 (items and scores of a recommender).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

import otel_ml
from otel_ml.ground_truth import LoggedPrediction
from otel_ml.testing import InMemoryTelemetry

dice = np.random.default_rng(0)
X = dice.normal(size=(90, 4))
CLASSES = ["cat", "dog", "eel"]
Y = np.array(CLASSES)[np.abs(X[:, :3]).argmax(axis=1)]
SETS = (X[:, :3] > 0.2).astype(int)
MANY = LogisticRegression().fit(X, Y)
FOREST = RandomForestClassifier(5, random_state=0).fit(X, SETS)
ONE_BY_ONE = OneVsRestClassifier(LogisticRegression()).fit(X, SETS)


class Kept:
    """A store that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: list[LoggedPrediction] = []

    def log_prediction(self, prediction: LoggedPrediction) -> None:
        self.rows.append(prediction)

    def drain_first(self, drain: Callable[[float], object]) -> None:
        self.drain = drain

    def take(self) -> list[tuple[str | None, Any]]:
        self.drain(5.0)
        rows, self.rows = self.rows, []
        return [
            (row.predicted, None if row.probabilities is None else [float(share) for share in row.probabilities])
            for row in rows
        ]


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as made:
        yield made


def test_each_way_in(kit: InMemoryTelemetry) -> None:
    """A decorated function, a block, `record`; one by one and as a batch."""
    store = Kept()
    model = otel_ml.Model("m", task="multiclass", classes=CLASSES, ground_truth=store)
    shares = MANY.predict_proba(X)
    names = MANY.predict(X).tolist()

    model.track(lambda _: MANY.predict_proba(X[:1]))({"a": 1.0})
    model.track(lambda _: {"prediction": names[0], "probability": shares[0].max(), "scores": shares[0].tolist()})(
        {"a": 1.0}
    )
    best = float(shares[0].max())
    named = dict(zip(CLASSES, shares[0].tolist(), strict=True))
    model.track(lambda _: {"prediction": names[0], "probability": best, "probabilities": named})({"a": 1.0})
    with model.prediction({"a": 1.0}) as prediction:
        prediction.set_output(names[0], shares[0])
    model.record({"a": 1.0}, score=named)
    assert store.take() == [(names[0], shares[0].tolist())] * 5

    model.track(MANY.predict_proba)(X)
    with model.prediction(X) as prediction:
        prediction.set_output(names, shares, batch=True)
    model.record(X, prediction=names, score=shares, batch=True)
    model.record(X, score=shares, batch=True)
    assert store.take() == list(zip(names, shares.tolist(), strict=True)) * 4

    model.track(lambda _: {"prediction": names[0], "probability": best})({"a": 1.0})
    assert store.take() == [(names[0], None)]


@pytest.mark.parametrize("estimator", [FOREST, ONE_BY_ONE], ids=lambda estimator: type(estimator).__name__)
def test_a_multilabel_estimator(kit: InMemoryTelemetry, estimator: Any) -> None:
    """Its predictions, its probabilities, and both of them; those of a forest are a list of arrays."""
    store = Kept()
    model = otel_ml.Model("m", task="multilabel", classes=CLASSES, ground_truth=store)
    shares = estimator.predict_proba(X)
    table = np.array([part[:, 1] for part in shares]).T if isinstance(shares, list) else shares
    sets = [set_of(row) for row in estimator.predict(X)]

    model.track(estimator.predict)(X)
    model.track(lambda rows: estimator.predict(rows))(X[:1])
    assert store.take() == [(each, None) for each in [*sets, sets[0]]]
    model.track(lambda rows: (estimator.predict(rows), estimator.predict_proba(rows)))(X)
    model.record(X, prediction=estimator.predict(X), score=shares, batch=True)
    assert store.take() == list(zip(sets, table.tolist(), strict=True)) * 2
    model.track(estimator.predict_proba)(X)
    assert store.take() == [(set_of(row > 0.5), row.tolist()) for row in table]


def set_of(row: Any) -> str:
    names = ", ".join(f'"{name}"' for name, there in zip(CLASSES, row, strict=True) if there)
    return f"[{names}]"


def test_a_class_that_training_never_saw(kit: InMemoryTelemetry) -> None:
    """Its array has one column, and of which side is not known: the predictions are kept without probabilities."""
    store = Kept()
    model = otel_ml.Model("m", task="multilabel", classes=CLASSES, ground_truth=store)
    forest = RandomForestClassifier(2, random_state=0).fit(X, SETS * [1, 0, 1])
    model.track(lambda rows: (forest.predict(rows), forest.predict_proba(rows)))(X)
    assert store.take() == [(set_of(row), None) for row in forest.predict(X)]


def test_a_frame_has_its_columns_in_any_order(kit: InMemoryTelemetry) -> None:
    """They are stored in the order of the declared classes; "10" is not between "1" and "2" there."""
    store = Kept()
    classes = [str(number) for number in range(12)]
    model = otel_ml.Model("m", task="multiclass", classes=classes, ground_truth=store)
    shares = pd.DataFrame(dice.dirichlet(np.ones(12), 70), columns=classes)
    for rows in (shares, shares[:3]):
        model.track(lambda _, rows=rows: rows[sorted(classes)])(np.zeros((len(rows), 2)))
        assert store.take() == [(str(row.argmax()), row.tolist()) for row in rows.to_numpy()]


def test_sets_and_rankings_in_events(kit: InMemoryTelemetry) -> None:
    """The body has a list, the attribute its text, and predictions are counted without a class."""
    sets = otel_ml.Model("sets", task="multilabel", classes=CLASSES, events="all")
    items = otel_ml.Model("items", task="ranking", events="all")
    sets.track(lambda _: ["eel", "cat"])({"a": 1.0})
    sets.record([[1.0], [2.0]], prediction=[["dog"], []], batch=True)
    items.track(lambda _: list(range(200)))({"a": 1.0})

    first, batch, ranking = kit.events("ml.prediction")
    assert first["attributes"]["ml.prediction.class"] == '["cat", "eel"]'
    assert '"prediction":["cat","eel"]' in first["body"].replace(" ", "")
    assert '"prediction":["dog"]' in batch["body"].replace(" ", "")
    assert '"prediction":["0","1","2"' in ranking["body"].replace(" ", "")
    assert '"99"]' in ranking["body"].replace(" ", "")
    points = kit.metrics()["ml.predictions"]
    assert {
        (point["attributes"]["ml.model.name"], point["attributes"].get("ml.prediction.class")) for point in points
    } == {
        ("sets", None),
        ("items", None),
    }
    assert sum(point["value"] for point in points) == 4
