"""The recording rules give the figures that scikit-learn and numpy compute from the single predictions, to 1e-9."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import labelled_predictions as tasks
import numpy as np
import promtool
import pytest
from labelled_predictions import Rows
from sklearn.metrics import average_precision_score, roc_auc_score

RNG = np.random.default_rng(15)


def rows(model: str, count: int, *, has_reset: bool = False) -> Rows:
    """Rows of three replicas, one of which has fewer than the others."""
    return Rows(model, RNG.choice(3, count, p=[0.5, 0.45, 0.05]), has_reset=has_reset)


def scores(count: int) -> np.ndarray:
    return np.clip(RNG.beta(RNG.uniform(0.2, 2), RNG.uniform(0.2, 2), count), 1e-6, 1 - 1e-6)


def random_binary(model: str, count: int) -> Rows:
    score = scores(count)
    return tasks.binary(rows(model, count), RNG.random(count) < score ** RNG.uniform(0.5, 2), score)


def probabilities(count: int, classes: int) -> np.ndarray:
    return np.clip(RNG.dirichlet(np.full(classes, 0.6), count), 1e-6, 1)


def random_multiclass(model: str, count: int) -> Rows:
    classes = int(RNG.integers(3, 7))
    given = probabilities(count, classes)
    truth = np.where(RNG.random(count) < 0.6, given.argmax(1), RNG.integers(0, classes, count))
    return tasks.multiclass(rows(model, count), truth, given, [f"class {number}" for number in range(classes)])


def random_multilabel(model: str, count: int) -> Rows:
    classes = int(RNG.integers(2, 6))
    given = np.column_stack([scores(count) for _ in range(classes)])
    return tasks.multilabel(rows(model, count), RNG.random(given.shape) < given, given, list("abcdef"[:classes]))


def random_regression(model: str, count: int) -> Rows:
    truth = RNG.lognormal(RNG.uniform(-3, 9), 1, count)
    return tasks.regression(rows(model, count), truth, truth * RNG.lognormal(RNG.uniform(-0.2, 0.2), 0.5, count))


def random_ranking(model: str, count: int) -> Rows:
    ranks = RNG.integers(1, 16, count)
    return tasks.ranking(rows(model, count), RNG.random(count), np.where(ranks <= 10, 1 / ranks, 0))


RANDOM: list[Callable[[str, int], Rows]] = [
    random_binary,
    random_multiclass,
    random_multilabel,
    random_regression,
    random_ranking,
]


def edges() -> Iterable[Rows]:
    """Counts in which something is empty, certain or restarted."""
    few = np.array([0.2, 0.7, 0.9, 0.4])
    yield tasks.binary(rows("no positives", 4), np.zeros(4, bool), few)
    yield tasks.binary(rows("only positives", 4), np.ones(4, bool), few)
    yield tasks.binary(rows("never predicted", 4), np.array([True, False, True, False]), few / 2)
    yield tasks.binary(rows("one label", 1), np.array([True]), np.array([0.93]))
    yield tasks.binary(rows("one bin", 4), np.array([True, False, True, False]), np.array([0.51, 0.511, 0.512, 0.513]))
    yield tasks.binary(
        rows("separated", 6), np.array([True] * 3 + [False] * 3), np.array([0.9, 0.8, 0.999999, 0.1, 0.2, 0.000001])
    )
    unscored = tasks.binary(rows("two classes without scores", 4), np.array([True, False, True, True]), few)
    unscored.counts = [each for each in unscored.counts if each[0] == "ml_eval_outcomes_total"]
    unscored.expected = [each for each in unscored.expected if each[1].get("ml_eval_figure") == "accuracy"]
    yield unscored
    three = probabilities(300, 3)
    yield tasks.multiclass(rows("a class without labels", 300), three[:, :2].argmax(1), three, ["cat", "dog", "eel"])
    sets = np.column_stack([scores(200), scores(200) / 2.1, scores(200)])
    truth = np.column_stack([sets[:, 0] > 0.4, np.zeros(200, bool), RNG.random(200) < 0.5])
    yield tasks.multilabel(rows("a class that no set has", 200), truth, sets, ["a", "b", "c"])
    yield tasks.multilabel(rows("sets without scores", 200), truth, sets, ["a", "b", "c"], scored=False)
    yield many_classes("many classes", has_certain=True)
    yield many_classes("many classes, none of them right for sure", has_certain=False)
    yield tasks.regression(rows("without error", 3), np.arange(3.0), np.arange(3.0))
    yield tasks.regression(rows("one error", 1), np.zeros(1), np.array([-2.5]))
    yield tasks.regression(rows("beyond the bins", 4), np.zeros(4), np.array([1e-9, 1e12, -3e10, 1.0]))
    yield tasks.ranking(rows("no hit", 5), np.zeros(5), np.zeros(5))
    score = scores(2000)
    restarted = rows("restarted", 2000, has_reset=True)
    yield tasks.binary(restarted, RNG.random(2000) < score, score)
    errors = rows("restarted too", 500, has_reset=True)
    yield tasks.regression(errors, np.zeros(500), RNG.normal(0.5, 2, 500))


def many_classes(model: str, *, has_certain: bool) -> Rows:
    """Outcomes with classes that are counted together: what they hide is absent."""
    case = rows(model, 40)
    actual = np.where(RNG.random(40) < 0.3, "__other__", "cat")
    predicted = np.where((actual == "__other__") & has_certain, "cat", actual)
    tasks.outcomes(case, actual, predicted, ["__other__", "cat", "dog"], None)
    case.expected = [each for each in case.expected if has_certain and each[1]["ml_eval_figure"] == "accuracy"]
    return case


def check(folder: Path, cases: Iterable[Rows]) -> str:
    models = list(cases)
    series = [sample for each in models for sample in each.series()]
    wanted = [sample for each in models for sample in each.wanted()]
    return promtool.check(folder, series, wanted, promtool.PERFORMANCE_RULES)


def test_the_figures_of_every_task_are_those_of_scikit_learn(tmp_path: Path) -> None:
    """Values, intervals and numbers of labels of random models of each task are right, by the hour and by the day."""
    sizes = (40, 700)
    cases = [make(f"{make.__name__} {size}", size) for make in RANDOM for size in sizes]
    assert check(tmp_path, cases) == ""


def test_what_is_undefined_is_absent(tmp_path: Path) -> None:
    """Empty classes, certain models, restarts and errors beyond the bins give the right figure or none, and never NaN."""
    assert check(tmp_path, edges()) == ""


def test_the_exact_figures_of_scores_are_within_their_bounds(tmp_path: Path) -> None:
    """AUC and average precision of the scores themselves are never outside the bounds that the bins give."""
    series, cases = [], []
    for number in range(12):
        count = int(10 ** RNG.uniform(0.7, 2.5))
        score = scores(count) if number % 2 else np.round(scores(count), 2) * 0.999 + 1e-6
        truth = RNG.random(count) < score ** RNG.uniform(0.3, 3)
        truth[:2] = True, False
        case = tasks.binary(rows(f"model {number}", count), truth, score)
        series += [*case.series()]
        exact = {"auc": roc_auc_score(truth, score), "average_precision": average_precision_score(truth, score)}
        series += [promtool.Sample("exact", {**case.identity, "of": name}, value) for name, value in exact.items()]
    on = "on (ml_model_name)"
    for window in promtool.WINDOWS:
        ap, auc = f"class:ml_eval_average_precision%s:{window}", f"class:ml_eval_auc%s:{window}"
        exact_ap, exact_auc = 'exact{of="average_precision"}', 'exact{of="auc"}'
        for within in (
            f"{exact_ap} >= {on} {ap % '_least'} - 1e-9 and {on} {exact_ap} <= {on} {ap % '_most'} + 1e-9",
            f"{ap % ''} >= {ap % '_least'} and {ap % ''} <= {ap % '_most'}",
            f"abs({exact_auc} - {on} {auc % ''}) <= {on} {auc % '_bound'} + 1e-9",
        ):
            cases.append({"eval_time": "60m", "expr": f"count({within})", "exp_samples": [{"value": 12}]})
    test = {"interval": "1m", "input_series": [each.as_input() for each in series], "promql_expr_test": cases}
    assert promtool.run(tmp_path, [test], promtool.PERFORMANCE_RULES) == ""


@pytest.mark.parametrize(
    "record", ["class:ml_eval_auc", "model:ml_eval_figure_high", "calibration_bin:ml_eval_mean_score"]
)
def test_the_comparison_of_figures_notices_a_difference(tmp_path: Path, record: str) -> None:
    """The comparison notices a figure that differs in the eighth digit."""
    case = random_binary("fraud", 200)
    at = next(at for at, each in enumerate(case.expected) if each[0] == record)
    name, labels, value = case.expected[at]
    case.expected[at] = (name, labels, value + 1e-8)
    assert "FAILED" in check(tmp_path, [case])
