"""Sets of classes and rankings are read from every form in which a model returns them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tensors import Tensor

from otel_ml import _guard
from otel_ml.prediction.boundary import _outputs
from otel_ml.prediction.boundary._outputs import Output

ABC = ["a", "b", "c"]
SHARES = [0.875, 0.25, 0.75]
NAMED = {"a": 0.875, "c": 0.75, "b": 0.25}


def read(result: Any, **keywords: Any) -> Output | None:
    keywords = {"task": "multilabel", "classes": ABC, "batch": False, "rows": None, "wants_shares": True, **keywords}
    return _outputs.recognise(result, **keywords)


def facts(found: Output | None) -> Any:
    """Rows of a batch, the sets or rankings, and the probabilities."""
    assert found is not None
    found.keep(found.rows_read)
    shares = (
        None if found.shares is None else [None if row is None else [float(s) for s in row] for row in found.shares]
    )
    return found.rows, [None if text is None else json.loads(text) for text in found.classes], shares


SETS: dict[str, tuple[Any, Any]] = {
    "list": (["c", "a", "a"], None),
    "tuple": (("a", "c"), None),
    "set": ({"a", "c"}, None),
    "frozenset": (frozenset({"a", "c"}), None),
    "array of classes": (np.array(["a", "c"]), None),
    "named": ({"labels": ["a", "c"]}, None),
    "indicators": ([1, 0, 1], None),
    "booleans": ([True, False, True], None),
    "array of indicators": (np.array([1, 0, 1]), None),
    "floats of 0 and 1": (np.array([1.0, 0.0, 1.0]), None),
    "one row of indicators": (np.array([[1, 0, 1]]), None),
    "mapping of booleans": ({"a": True, "b": False, "c": True}, None),
    "series": (pd.Series([1, 0, 1]), None),
    "tensor of indicators": (Tensor([1, 0, 1]), None),
    "probabilities": (SHARES, SHARES),
    "array of probabilities": (np.array(SHARES), SHARES),
    "one row of probabilities": (np.array([SHARES]), SHARES),
    "tensor of probabilities": (Tensor(SHARES), SHARES),
    "mapping": (NAMED, SHARES),
    "named probabilities": ({"probabilities": SHARES}, SHARES),
    "labels and probabilities": ({"labels": ["a", "c"], "probabilities": SHARES}, SHARES),
    "labels and a mapping": ({"prediction": ["a", "c"], "scores": NAMED}, SHARES),
    "beside a score": ({"prediction": ["a", "c"], "confidence": 0.75, "probabilities": NAMED}, SHARES),
    "indicators and probabilities": ((np.array([1, 0, 1]), np.array(SHARES)), SHARES),
    "pipeline": ([{"label": name, "score": share} for name, share in NAMED.items()], SHARES),
    "labels with their scores": ({"labels": list(NAMED), "scores": list(NAMED.values())}, SHARES),
    "predicted labels with their scores": ({"labels": ["a", "c"], "scores": [0.875, 0.75]}, None),
    "scikit-learn": ([np.array([[1 - share, share]]) for share in SHARES], SHARES),
}


@pytest.mark.parametrize("form", SETS)
def test_one_set(form: str) -> None:
    """Its classes are in one spelling and order; the probabilities are there only if they were given."""
    result, shares = SETS[form]
    assert facts(read(result)) == (None, [["a", "c"]], None if shares is None else [shares])
    assert facts(read(result, wants_shares=False)) == (None, [["a", "c"]], None)
    has_rows = form == "scikit-learn" or form.startswith("one row")
    assert facts(read(result if has_rows else [result], batch=True))[:2] == (1, [["a", "c"]])


@pytest.mark.parametrize(
    ("result", "expected"),
    [([], []), (set(), []), ("b", ["b"]), ([0, 0, 0], []), ([0.1, 0.5, 0.2], []), ({"labels": []}, []), (["b"], ["b"])],
)
def test_small_sets(result: Any, expected: list[str]) -> None:
    """A set may be empty; half is not above one half."""
    assert facts(read(result))[1] == [expected]


@pytest.mark.parametrize(
    ("classes", "result", "expected"),
    [
        ([0, 1, 2], [1, 0, 1], ["0", "2"]),
        ([0, 1, 2], [1, 2], ["1", "2"]),
        ([0, 1, 2], np.array([2.0, 1.0]), ["1", "2"]),
        ([10, 20], {10, 20.0}, ["10", "20"]),
        (None, ["b", "a"], ["a", "b"]),
        (None, {"a": 0.9, "b": 0.1}, ["a"]),
    ],
    ids=repr,
)
def test_classes_that_are_numbers_or_unknown(classes: Any, result: Any, expected: Any) -> None:
    """As many 0 and 1 as there are classes are indicators; other lists name classes."""
    found = read(result, classes=None if classes is None else [str(name) for name in classes])
    assert facts(found)[1] == [expected]


CHOSEN = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]] * 30)
LIKELY = np.where(CHOSEN == 1, 0.75, 0.25) + np.arange(90)[:, None] / 1000
NAMES = [[name for name, there in zip(ABC, row, strict=True) if there] for row in CHOSEN]
BATCHES: dict[str, tuple[Any, bool]] = {
    "array of indicators": (CHOSEN, False),
    "booleans": (CHOSEN == 1, False),
    "floats of 0 and 1": (CHOSEN.astype(float), False),
    "lists of indicators": (CHOSEN.tolist(), False),
    "frame of indicators": (pd.DataFrame(CHOSEN[:, ::-1], columns=["c", "b", "a"]), False),
    "lists of classes": (NAMES, False),
    "series of lists": (pd.Series(NAMES), False),
    "sets": ([set(names) for names in NAMES], False),
    "records": ([{"labels": names} for names in NAMES], False),
    "probabilities": (LIKELY, True),
    "lists of probabilities": (LIKELY.tolist(), True),
    "frame": (pd.DataFrame(LIKELY[:, ::-1], columns=["c", "b", "a"]), True),
    "polars": (pl.DataFrame(dict(zip(ABC, LIKELY.T, strict=True))), True),
    "mappings": ([dict(zip(ABC, row, strict=True)) for row in LIKELY.tolist()], True),
    "pair": ((CHOSEN, LIKELY), True),
    "pair of lists": ((CHOSEN.tolist(), LIKELY.tolist()), True),
    "classes and probabilities": ((NAMES, LIKELY), True),
    "columns": ({"predictions": NAMES, "probabilities": LIKELY}, True),
    "scikit-learn": ([np.stack([1 - column, column], axis=1) for column in LIKELY.T], True),
    "pair of scikit-learn": ((CHOSEN, [np.stack([1 - column, column], axis=1) for column in LIKELY.T]), True),
}


@pytest.mark.parametrize("form", BATCHES)
def test_a_batch_of_sets(form: str) -> None:
    """A list of lists, an array with a column for each class, or the list of arrays that scikit-learn returns."""
    result, has_shares = BATCHES[form]
    assert facts(read(result, rows=90)) == (90, NAMES, LIKELY.tolist() if has_shares else None)
    assert facts(read(result, batch=True)) == (90, NAMES, LIKELY.tolist() if has_shares else None)


def test_many_classes_by_column() -> None:
    """More than fit into one whole number."""
    classes = [f"{place:03d}" for place in range(100)]
    likely = np.random.default_rng(3).random((70, 100))
    rows, sets, shares = facts(read(likely, classes=classes, rows=70))
    assert (rows, shares) == (70, likely.tolist())
    assert sets == [[name for name, share in zip(classes, row, strict=True) if share > 0.5] for row in likely]


def test_predictions_are_counted_without_a_class() -> None:
    """A set has no class of its own."""
    for result in (CHOSEN, CHOSEN.tolist()):
        found = read(result, rows=90)
        assert found is not None
        assert found.class_counts() == {None: 90}


@pytest.mark.parametrize(
    ("result", "classes"),
    [(np.full((70, 2), 0.75), ABC), ([[0.9, 0.2]], ABC), ({"labels": ["a"], "probabilities": [0.9, 0.2]}, ABC)],
)
def test_probabilities_of_other_classes(result: Any, classes: Any, caplog: pytest.LogCaptureFixture) -> None:
    """They are left out, and one line says what to do."""
    _guard.reset()
    found = read(result, classes=classes, batch=isinstance(result, np.ndarray))
    assert found is None or found.shares is None
    assert found is None or "declare classes=..., one for each of its 2 probabilities" in caplog.text


RANKINGS: dict[str, Any] = {
    "list": ["x", "y", "z"],
    "twice": ["x", "y", "x", "z"],
    "tuple": ("x", "y", "z"),
    "array": np.array(["x", "y", "z"]),
    "series": pd.Series(["x", "y", "z"]),
    "pairs": [("x", 0.9), ("y", 0.5), ("z", 0.7)],
    "lists of two": [["x", 0.9], ["y", 0.5], ["z", 0.7]],
    "records": [{"corpus_id": name, "score": 0.5} for name in "xyz"],
    "records in another order": [{"score": 0.5, "id": name} for name in "xyz"],
    "mapping": {"z": 0.1, "x": 0.9, "y": 0.5},
    "named": {"prediction": ["x", "y", "z"]},
    "items": {"items": ["x", "y", "z"], "scores": [0.9, 0.5, 0.1]},
    "items and scores": (np.array(["x", "y", "z"]), np.array([0.9, 0.5, 0.1])),
    "one row": [["x", "y", "z"]],
}


@pytest.mark.parametrize("form", RANKINGS)
def test_one_ranking(form: str) -> None:
    """A list is in order; a mapping has the highest score first. Of an item that comes twice the first place counts."""
    assert facts(read(RANKINGS[form], task="ranking", classes=None)) == (None, [["x", "y", "z"]], None)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([12, 7, 3]), ["12", "7", "3"]),
        ((np.array([12, 7]), np.array([0.9, 0.8])), ["12", "7"]),
        ((np.array([0.1, 0.4]), np.array([12, 7])), ["12", "7"]),
        ([(12, 0.9), (7, 0.8)], ["12", "7"]),
        (list(range(500)), [str(item) for item in range(100)]),
        ("x", ["x"]),
        ([], []),
    ],
    ids=["ids", "ids and scores", "distances and ids", "pairs", "long", "text", "empty"],
)
def test_items_that_are_numbers(result: Any, expected: list[str]) -> None:
    """At most 100 items are kept; a nearest-neighbour search gives distances first."""
    assert facts(read(result, task="ranking", classes=None))[1] == [expected]


def test_a_batch_of_rankings() -> None:
    """Each row has its items, with their scores beside them or without."""
    items, scores = np.array([[3, 1], [2, 5], [9, 8]]), np.array([[0.9, 0.5], [0.8, 0.7], [0.4, 0.1]])
    expected = (3, [["3", "1"], ["2", "5"], ["9", "8"]], None)
    for result in (items, items.tolist(), (items, scores), {"predictions": items, "scores": scores}, (scores, items)):
        assert facts(read(result, task="ranking", classes=None, rows=3)) == expected
    pairs = [[(3, 0.9), (1, 0.5)], [(2, 0.8), (5, 0.7)], [(9, 0.4), (8, 0.1)]]
    assert facts(read(pairs, task="ranking", classes=None, batch=True)) == expected


def test_scores_of_candidates_are_no_ranking() -> None:
    """A number for each row of the input stays what it was."""
    found = read(np.array([0.9, 0.1, 0.4]), task="ranking", classes=None, rows=3)
    assert found is not None
    found.keep(3)
    assert found == Output(3, [None] * 3, [0.9, 0.1, 0.4], [None] * 3)
