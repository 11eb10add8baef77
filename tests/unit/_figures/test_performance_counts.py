"""Counts of labels and outputs over parts of a data set, and the figures from them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from otel_ml._figures.bins import ERROR_BOUNDS
from otel_ml._figures.data_sets.outcome_columns import CountsError
from otel_ml._figures.data_sets.performance_counts import PerformanceCounts
from otel_ml._figures.data_sets.tally import Tally, exact_sums, exact_value
from otel_ml._figures.from_counts import binned_error_quantile

ROWS = 4_000
RANDOM = np.random.default_rng(15)


def draw_binary() -> dict[str, Any]:
    """Probabilities that are multiples of 0.02 in the middle of a bin, so that the binned AUC is exact."""
    scores = (RANDOM.integers(0, 50, ROWS) + 0.5) / 50
    return {"label": (RANDOM.random(ROWS) < scores).astype(int), "score": scores}


def draw_regression() -> dict[str, Any]:
    truth = RANDOM.normal(100, 20, ROWS)
    return {"label": truth, "score": truth + RANDOM.normal(1, 5, ROWS)}


def draw_multiclass() -> dict[str, Any]:
    raw = RANDOM.dirichlet([1, 2, 3], ROWS)
    label = [RANDOM.choice(["a", "b", "c"], p=row) for row in raw]
    return {"label": np.array(label, dtype=object), "probabilities": [raw[:, place] for place in range(3)]}


def draw_multilabel() -> dict[str, Any]:
    raw = (RANDOM.integers(0, 50, (ROWS, 3)) + 0.5) / 50
    actual = RANDOM.random((ROWS, 3)) < raw
    label = np.empty(ROWS, dtype=object)
    label[:] = [[name for name, is_actual in zip("abc", row, strict=True) if is_actual] for row in actual]
    return {"label": label, "probabilities": [raw[:, place] for place in range(3)]}


def draw_ranking() -> dict[str, Any]:
    label, ranked = np.empty(ROWS, dtype=object), np.empty(ROWS, dtype=object)
    label[:] = [{"a": 1, "b": 2 if row % 3 else 0} for row in range(ROWS)]
    ranked[:] = [RANDOM.permutation(["a", "b", "c", "d"]).tolist() for _ in range(ROWS)]
    return {"label": label, "prediction": ranked}


DATA: dict[str, tuple[dict[str, Any], tuple[str, ...], str | None]] = {
    "binary": (draw_binary(), (), None),
    "multiclass": (draw_multiclass(), ("a", "b", "c"), None),
    "multilabel": (draw_multilabel(), ("a", "b", "c"), None),
    "regression": (draw_regression(), (), None),
    "ranking": (draw_ranking(), (), "ranking"),
}


def counted(
    columns: dict[str, Any], classes: tuple[str, ...] = (), task: str | None = None, rows: slice = slice(None)
) -> PerformanceCounts:
    counts = PerformanceCounts(task, classes)
    counts.add(
        **{
            name: [each[rows] for each in values] if name == "probabilities" else values[rows]
            for name, values in columns.items()
        }
    )
    return counts


def figures(columns: dict[str, Any], classes: tuple[str, ...] = (), task: str | None = None) -> dict[str, float]:
    return dict(counted(columns, classes, task).result().figures)


@pytest.mark.parametrize("task", DATA)
def test_parts_in_any_order_give_the_same_bytes(task: str) -> None:
    """Whatever the partition, the order and the grouping of the merges, the content is that of the whole."""
    columns, classes, given = DATA[task]
    whole = json.dumps(counted(columns, classes, given).content())
    bounds = (0, 1, 700, 701, 2_500, ROWS)
    parts = [counted(columns, classes, given, slice(*ends)).content() for ends in itertools.pairwise(bounds)]
    for order in ((0, 1, 2, 3, 4), (4, 2, 0, 3, 1)):
        total = PerformanceCounts(given, classes)
        for part in order:
            total.merge(PerformanceCounts.from_content(json.loads(json.dumps(parts[part]))))
        assert json.dumps(total.content()) == whole
        assert (total.result().task, total.result().rows) == (task, ROWS)


def test_sums_are_exact() -> None:
    """The sum of each group is that of `math.fsum`, for floats of any size and sign, in any part."""
    numbers = np.concatenate(
        [RANDOM.normal(0, 1, 500) * 10.0 ** RANDOM.integers(-300, 300, 500), [5e-324, -5e-324, 1e308, -1e308, 0.1, 0.0]]
    )
    groups = np.arange(len(numbers)) % 3
    totals = exact_sums(numbers, groups, 3)
    assert list(map(exact_value, totals)) == [math.fsum(numbers[groups == group]) for group in range(3)]
    halves = [exact_sums(numbers[rows], groups[rows], 3) for rows in (slice(100), slice(100, None))]
    assert [sum(pair) for pair in zip(*halves, strict=True)] == totals
    many = RANDOM.random(300_000)
    assert exact_value(exact_sums(many, np.zeros(len(many), int), 1)[0]) == math.fsum(many)


def test_binary_figures_are_those_of_scikit_learn() -> None:
    """Scores of which each bin has one value lose nothing in bins."""
    columns, found = DATA["binary"][0], figures(DATA["binary"][0])
    truth, scores = columns["label"], columns["score"]
    predicted = scores > 0.5
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, predicted),
            "precision": metrics.precision_score(truth, predicted),
            "recall": metrics.recall_score(truth, predicted),
            "f1": metrics.f1_score(truth, predicted),
            "auc": metrics.roc_auc_score(truth, scores),
            "average_precision": metrics.average_precision_score(truth, scores),
            "brier_score": metrics.brier_score_loss(truth, scores),
            "log_loss": metrics.log_loss(truth, scores),
            "ece": ece(truth, scores),
        }
    )


def ece(truth: Any, scores: Any) -> float:
    bins = np.minimum((scores * 10).astype(int), 9)
    return sum(abs(truth[bins == each].sum() - scores[bins == each].sum()) for each in range(10)) / len(truth)


def test_multiclass_figures_are_those_of_scikit_learn() -> None:
    """Figures of several classes are means over the classes; the AUC from bins is within its bound."""
    columns, classes, _ = DATA["multiclass"]
    found, truth = figures(columns, classes), columns["label"].astype(str)
    scores = np.column_stack(columns["probabilities"])
    predicted = np.array(classes)[scores.argmax(axis=1)]
    hot = truth[:, None] == np.array(classes)
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, predicted),
            "precision": metrics.precision_score(truth, predicted, average="macro"),
            "recall": metrics.recall_score(truth, predicted, average="macro"),
            "f1": metrics.f1_score(truth, predicted, average="macro"),
            "auc": pytest.approx(metrics.roc_auc_score(truth, scores, multi_class="ovr"), abs=0.001),
            "average_precision": pytest.approx(metrics.average_precision_score(hot, scores), abs=0.01),
            "brier_score": ((scores - hot) ** 2).sum(axis=1).mean(),
            "log_loss": metrics.log_loss(truth, scores),
            "ece": np.mean([ece(hot[:, place], scores[:, place]) for place in range(3)]),
        }
    )


def test_multilabel_figures_are_those_of_scikit_learn() -> None:
    """Each class is a binary task of its own."""
    columns, classes, _ = DATA["multilabel"]
    scores = np.column_stack(columns["probabilities"])
    truth = np.array([[name in row for name in classes] for row in columns["label"]])
    predicted = scores > 0.5
    assert figures(columns, classes) == pytest.approx(
        {
            "precision": metrics.precision_score(truth, predicted, average="macro"),
            "recall": metrics.recall_score(truth, predicted, average="macro"),
            "f1": metrics.f1_score(truth, predicted, average="macro"),
            "exact_match": metrics.accuracy_score(truth, predicted),
            "hamming_loss": metrics.hamming_loss(truth, predicted),
            "auc": metrics.roc_auc_score(truth, scores, average="macro"),
            "average_precision": metrics.average_precision_score(truth, scores),
            "brier_score": np.mean([metrics.brier_score_loss(truth[:, each], scores[:, each]) for each in range(3)]),
            "log_loss": np.mean([metrics.log_loss(truth[:, each], scores[:, each]) for each in range(3)]),
            "ece": np.mean([ece(truth[:, each], scores[:, each]) for each in range(3)]),
        }
    )


def test_regression_figures_are_those_of_scikit_learn() -> None:
    """The quantiles of the error are within the width of their bin."""
    columns, found = DATA["regression"][0], figures(DATA["regression"][0])
    truth, predicted = columns["label"], columns["score"]
    quantiles = np.quantile(abs(predicted - truth), [0.5, 0.9, 0.99])
    assert found == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, predicted),
            "rmse": metrics.root_mean_squared_error(truth, predicted),
            "bias": (predicted - truth).mean(),
            **{
                name: pytest.approx(value, rel=0.13)
                for name, value in zip(("error_p50", "error_p90", "error_p99"), quantiles, strict=True)
            },
        }
    )


def test_ranking_figures_are_means_over_the_rows() -> None:
    """Gains are taken as they are given; an item without one is not relevant."""
    columns, _, task = DATA["ranking"]
    gains = np.array([[row.get(name, 0) for name in "abcd"] for row in columns["label"]])
    scores = np.array([[-row.index(name) for name in "abcd"] for row in columns["prediction"]])
    found = figures(columns, task=task)
    assert (found["ndcg"], found["hit_rate"]) == (pytest.approx(metrics.ndcg_score(gains, scores, k=10)), 1.0)
    first = [min(-row[gain > 0].max() + 1, 10) for row, gain in zip(scores, gains, strict=True)]
    assert found["reciprocal_rank"] == pytest.approx(np.mean(1 / np.array(first, float)))


@pytest.mark.parametrize(
    ("counts", "quantile", "wanted"),
    [
        ({0: 10}, 0.5, ERROR_BOUNDS[0] / 2),
        ({60: 10}, 0.5, (ERROR_BOUNDS[59] + ERROR_BOUNDS[60]) / 2),
        ({60: 10, 151: 90}, 0.9, ERROR_BOUNDS[-1]),
        ({}, 0.9, None),
    ],
)
def test_an_error_quantile_is_interpolated_within_its_bin(
    counts: dict[int, int], quantile: float, wanted: float | None
) -> None:
    """As in Prometheus: from 0 in the first bin, and the last bound for errors beyond it."""
    assert binned_error_quantile([counts.get(place, 0) for place in range(152)], quantile) == pytest.approx(wanted)


INFERRED: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "a pair and a probability": ({"label": [0, 1] * 50, "score": [0.2, 0.9] * 50}, (), "binary"),
    "booleans and classes": ({"label": [False, True] * 50, "score": [0, 1] * 50}, (), "binary"),
    "texts": ({"label": ["a", "b", "c"] * 50, "score": ["a", "b", "b"] * 50}, (), "multiclass"),
    "whole numbers as classes": ({"label": [1, 2, 3] * 50, "prediction": [1, 2, 2] * 50}, (), "multiclass"),
    "whole numbers and fractions": ({"label": [0, 1, 2] * 50, "score": [0.2, 0.9, 1.2] * 50}, (), "regression"),
    "many whole numbers": ({"label": range(100), "score": range(100)}, (), "regression"),
    "more whole numbers than classes": ({"label": range(2000), "score": range(2000)}, (), "regression"),
    "few labels and thousands of predictions": ({"label": [3, 5] * 1000, "prediction": range(2000)}, (), "regression"),
    "fractions": ({"label": [0.5, 1.0] * 50, "score": [1, 2] * 50}, (), "regression"),
    "a declared positive class": ({"label": ["g", "b"] * 50, "probabilities": [[0.2, 0.9] * 50]}, ("b",), "binary"),
    "two columns": ({"label": ["g", "b"] * 50, "probabilities": [[0.8, 0.1] * 50, [0.2, 0.9] * 50]}, ("g", "b"), "binary"),
    "sets": ({"label": [["a"], {"a", "b"}] * 50, "prediction": [["a"], []] * 50}, (), "multilabel"),
}  # fmt: skip


@pytest.mark.parametrize("name", INFERRED)
def test_the_task_follows_from_the_columns(name: str) -> None:
    """Numbers with fractions or many values are a regression, sets multilabel, two classes binary, more multiclass."""
    columns, classes, task = INFERRED[name]
    assert counted({key: values if key == "probabilities" else list(values) for key, values in columns.items()}, classes).result().task == task  # fmt: skip


@pytest.mark.parametrize("kind", ["numpy", "pandas", "nullable", "list"])
def test_every_kind_of_column_counts_alike(kind: str) -> None:
    """Rows without label or score are left out and counted; 1, 1.0 and True are one class."""
    make: dict[str, Callable[[list[Any]], Any]] = {
        "numpy": lambda values: np.array([np.nan if value is None else value for value in values], float),
        "pandas": pd.Series,
        "nullable": lambda values: pd.Series(values, dtype="Int64" if max(map(float, filter(None, values))) == 1 else "Float64"),
        "list": list,
    }  # fmt: skip
    label, score = [0, 1, 1, None, 0] * 20, [0.1, 0.9, 0.4, 0.5, None] * 20
    result = counted({"label": make[kind](label), "score": make[kind](score)}).result()
    assert (result.task, result.rows, result.left_out) == ("binary", 60, 40)
    assert result.figures["recall"] == 0.5


def test_a_score_of_one_half_predicts_the_negative_class() -> None:
    """As the largest of two probabilities: of equal ones the first is taken."""
    single = figures({"label": [0, 1], "score": [0.5, 0.9]})
    both = figures({"label": ["n", "y"], "probabilities": [[0.5, 0.1], [0.5, 0.9]]}, ("n", "y"))
    assert (single["accuracy"], both["accuracy"]) == (1.0, 1.0)


def test_probabilities_beyond_one_by_rounding_are_counted() -> None:
    """As live: the most certain ones of some libraries are a little above 1."""
    found = figures({"label": [0, 1, 1], "score": [-1e-6, 0.7, 1.00000978]})
    assert (found["accuracy"], found["auc"]) == (1.0, 1.0)


def test_too_many_classes_are_found_in_any_partition() -> None:
    """Each part has few of them; whole numbers are a regression then, and texts are refused."""
    parts = [PerformanceCounts() for _ in range(2)]
    texts = [PerformanceCounts("multiclass") for _ in range(2)]
    for half in range(2):
        numbers = list(range(half * 600, half * 600 + 600))
        parts[half].add(numbers, score=numbers)
        texts[half].add(list(map(str, numbers)), prediction=list(map(str, numbers)))
    for total, other in (parts, texts):
        total.merge(other)
    assert parts[0].result().task == "regression"
    with pytest.raises(CountsError, match="more than 1,000 classes"):
        texts[0].result()


SETS: dict[str, list[Any]] = {
    "lists": [["b", "a"], ["a"], []],
    "written by Python": ["['b', 'a']", "['a']", "[]"],
    "written by JSON": ['["b", "a"]', '["a"]', "[]"],
    "rows of 0 and 1": [[1, 1], [1, 0], [0, 0]],
    "mappings": [{"a": 1, "b": 1}, {"a": 1, "b": 0}, {"a": 0, "b": 0}],
}


@pytest.mark.parametrize("form", SETS)
def test_sets_are_read_in_every_form_in_which_a_label_is_recorded(form: str) -> None:
    """As in production: texts of a CSV file, and rows of 0 and 1 for the classes in their order."""
    columns = {"label": SETS[form], "probabilities": [[0.9, 0.9, 0.1], [0.9, 0.2, 0.1]]}
    assert figures(columns, ("a", "b"), "multilabel")["exact_match"] == 1.0


@pytest.mark.parametrize("label", [{"b": 2}, '{"b": 2}', ["b"], "['b']", "b"])
def test_rankings_and_gains_may_be_written(label: Any) -> None:
    """As Python or JSON writes a list and a mapping."""
    columns = {"label": np.array([label], dtype=object), "prediction": ["['a', 'b']"]}
    assert figures(columns, task="ranking")["reciprocal_rank"] == 0.5


@pytest.mark.parametrize("count", [20, 21])
def test_classes_have_bins_all_or_none(count: int) -> None:
    """As live: a mean over the first 20 classes would mislead. Brier score and log loss are there anyway."""
    classes = tuple(f"c{place}" for place in range(count))
    shares = np.full((count, count), 0.5 / (count - 1)) + np.eye(count) * (0.5 - 0.5 / (count - 1))
    found = figures({"label": list(classes), "probabilities": list(shares.T)}, classes)
    assert ("auc" in found, "ece" in found, "brier_score" in found) == (count == 20, count == 20, True)


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "swapped": ({"label": [0.2, 0.9], "score": [0, 1]}, {}, "swapped"),
    "swapped texts": ({"label": [0.2, 0.9], "score": ["a", "b"]}, {}, "swapped"),
    "decision function": ({"label": [0, 1], "score": [-2.5, 1.5]}, {}, "1 of 2|2 of 2 scores are outside 0..1"),
    "nothing shared": ({"label": ["cat", "dog"], "score": ["0", "1"]}, {}, "no class in common"),
    "positive unknown": ({"label": ["g", "b"], "score": [0.2, 0.9]}, {}, r"give score=\{positive class: column\}"),
    "one score of three": ({"label": ["a", "b", "c"], "score": [0.2, 0.9, 0.1]}, {}, "more than two classes"),
    "not binary": ({"label": ["a", "b", "c"], "score": ["a", "b", "c"]}, {"task": "binary"}, "has two classes, not a, b, c"),
    "no number": ({"label": ["a", "b"], "score": [1.0, 2.0]}, {"task": "regression"}, "numbers as labels"),
    "no label": ({"label": [None, None], "score": [0.1, 0.2]}, {}, "no row has a label"),
    "no task": ({"label": [1], "score": [1]}, {"task": "guess"}, "there are binary, "),
    "free text": ({"label": [f"t{row}" for row in range(2000)], "score": ["t"] * 2000}, {}, "more than 1,000 classes"),
    "unnamed classes": ({"label": [[1, 0], [0, 1]], "prediction": [[1, 1], [0, 1]]}, {}, "rows of 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_columns_that_do_not_fit_together_give_one_line(name: str) -> None:
    """The message says what is wrong and what to give."""
    columns, options, message = WRONG[name]
    with pytest.raises(CountsError, match=message):
        counted(columns, **options).result()


def test_a_tally_keeps_no_zeros() -> None:
    """A count of 0 is the same as none, or parts would differ from the whole."""
    tally = Tally()
    tally.count(0, "a")
    tally.add_all(np.array([0.0, 1.0, -1.0]), "b")
    assert tally.content() == {"counts": [], "sums": []}
