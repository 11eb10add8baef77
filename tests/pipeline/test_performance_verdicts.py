"""From counts to verdicts: which figures of each task are worse than in training, and by what chance explains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import labelled_predictions as tasks
import numpy as np
import promtool
from labelled_predictions import Rows

from otel_ml import semconv

RNG = np.random.default_rng(16)
RULES = {**promtool.PERFORMANCE_RULES, "training": "otel-ml-training"}
FALLING = {*semconv.FIGURES[:6], "exact_match", "ndcg", "reciprocal_rank", "hit_rate"}
QUANTILES = {"error_p50", "error_p90", "error_p99"}


def rows(model: str, count: int) -> Rows:
    return Rows(model, RNG.choice(3, count))


def binary(model: str, count: int, noise: float) -> Rows:
    score = RNG.beta(0.8, 0.8, count).clip(1e-6, 1 - 1e-6)
    truth = np.where(RNG.random(count) < noise, RNG.random(count) < 0.5, RNG.random(count) < score)
    return tasks.binary(rows(model, count), truth.astype(bool), score)


def multiclass(model: str, count: int, noise: float) -> Rows:
    given = RNG.dirichlet(np.full(4, 0.3), count).clip(1e-6, 1)
    drawn = (given.cumsum(1) < RNG.random((count, 1))).sum(1).clip(0, 3)
    truth = np.where(RNG.random(count) < noise, RNG.integers(0, 4, count), drawn)
    return tasks.multiclass(rows(model, count), truth, given, list("abcd"))


def multilabel(model: str, count: int, noise: float) -> Rows:
    given = RNG.beta(0.5, 0.5, (count, 3)).clip(1e-6, 1 - 1e-6)
    truth = np.where(RNG.random(given.shape) < noise, RNG.random(given.shape) < 0.5, RNG.random(given.shape) < given)
    return tasks.multilabel(rows(model, count), truth.astype(bool), given, list("abc"))


def regression(model: str, count: int, noise: float) -> Rows:
    truth = RNG.normal(100, 30, count)
    return tasks.regression(rows(model, count), truth, truth + RNG.normal(0, 5 * (1 + 2 * noise), count))


def ranking(model: str, count: int, noise: float) -> Rows:
    ranks = np.where(RNG.random(count) < noise, 20, RNG.integers(1, 5, count))
    return tasks.ranking(
        rows(model, count), np.where(ranks < 20, 1 / np.log2(1 + ranks), 0), np.where(ranks <= 10, 1 / ranks, 0)
    )


TASKS: list[Callable[[str, int, float], Rows]] = [binary, multiclass, multilabel, regression, ranking]


class Compared:
    """A model with the figures of its training data."""

    def __init__(self, live: Rows, training: Rows) -> None:
        self.live, self.size = live, len(training.replica)
        self.now, self.low, self.high, self.then = (
            live.figures(),
            live.figures("_low"),
            live.figures("_high"),
            training.figures(),
        )
        (self.labels,) = {*live.figures("_labels").values()}

    def limit(self, name: str) -> float:
        if name in FALLING | {"ece"}:
            return 0.05
        if name == "bias":
            return 0.2 * self.then["rmse"]
        return (0.5 if name in QUANTILES else 0.2) * self.then[name]

    def decline(self, name: str) -> float:
        difference = self.now[name] - self.then[name]
        return -difference if name in FALLING else abs(difference) if name == "bias" else difference

    def noise(self, name: str) -> float | None:
        if name == "ece":
            return float(
                np.mean([value for record, _, value in self.live.expected if record == "class:ml_eval_ece_noise"])
            )
        toward = self.high.get(name) if name in FALLING | {"bias"} else self.low.get(name)
        if toward is None:
            return None
        return abs(toward - self.now[name]) * round(3.09 / tasks.Z, 4) * float(np.sqrt(1 + self.labels / self.size))

    def worse(self) -> dict[str, bool]:
        found = {name: self.noise(name) for name in self.now if name in self.then}
        return {
            name: self.decline(name) > max(self.limit(name), noise) and self.labels >= 100
            for name, noise in found.items()
            if noise is not None
        }

    def series(self) -> Iterable[promtool.Sample]:
        yield from self.live.series()
        profile = {**self.live.identity, "ml_profile_id": "p"}
        for replica in "abc":
            yield promtool.Sample("ml_eval_reference_size", {**profile, "instance": replica}, self.size)
            for name, value in self.then.items():
                yield promtool.Sample(
                    "ml_eval_reference", {**profile, "ml_eval_figure": name, "instance": replica}, value
                )

    def wanted(self) -> Iterable[promtool.Sample]:
        for name, worse in self.worse().items():
            noise = self.noise(name)
            assert noise is not None
            for record, value in (("decline", self.decline(name)), ("decline_noise", noise), ("worse", float(worse))):
                labels = {**self.live.identity, "record": f"model:ml_eval_figure_{record}", "ml_eval_figure": name}
                yield promtool.Sample("expected", labels, value)
        if "average_precision" in self.now and self.noise("average_precision") is None:
            labels = {
                **self.live.identity,
                "record": "model:ml_eval_figure_decline",
                "ml_eval_figure": "average_precision",
            }
            yield promtool.Sample("expected", labels, self.decline("average_precision"))


def test_each_task_is_judged_against_its_training(tmp_path: Path) -> None:
    """Figures as in training are not worse, noisy labels make each task's figures worse, and 99 labels judge nothing."""
    cases = {
        (task.__name__, name): Compared(task(f"{task.__name__} {name}", count, noise), task("training", 3000, 0.0))
        for task in TASKS
        for name, count, noise in (("as in training", 2000, 0.0), ("worse", 2000, 0.5), ("few", 99, 0.9))
    }
    worse = {key: {name for name, is_worse in case.worse().items() if is_worse} for key, case in cases.items()}
    assert {task for (task, name), found in worse.items() if name != "worse" and found} == set()
    assert {task: len(found) > 1 for (task, name), found in worse.items() if name == "worse"} == {
        task.__name__: True for task in TASKS
    }
    tests = []
    for task in TASKS:
        models = [case for (name, _), case in cases.items() if name == task.__name__]
        series = [sample for case in models for sample in case.series()]
        tests.append(promtool.compared(series, [sample for case in models for sample in case.wanted()]))
    assert promtool.run(tmp_path, tests, RULES) == ""


def test_a_class_with_a_few_labels_makes_no_mean_worse(tmp_path: Path) -> None:
    """A rare class that the window has once, or only in predictions, does not page; ten wrong labels of it do.

    Sources: evidentlyai/evidently#1002 and scikit-learn/scikit-learn#24636 (windows that lack a class).
    """
    cases = {}
    for rare in (0, 1, 10):
        case = multiclass(f"{rare} labels", 400, 0.0)
        case.counts = [each for each in case.counts if not each[0].startswith("ml_eval_score")]
        for labels, times in ((("a", "eel"), rare), (("eel", "a"), 1)):
            case.count("outcomes", np.arange(400) < times, predicted=labels[0], actual=labels[1])
        cases[rare] = Compared(case, multiclass("training", 3000, 0.0))
    case = binary("three positives", 400, 0.0)
    few = tasks.binary(Rows("three positives", case.replica), np.arange(400) < 3, np.linspace(0.3, 0.6, 400))
    cases[3] = Compared(few, binary("training", 3000, 0.0))
    series = [sample for each in cases.values() for sample in each.series()]
    queries = {
        'model:ml_eval_figure_worse:current{ml_eval_figure=~"recall|f1", ml_model_name=~".* labels"} == 1': [
            "10 labels"
        ]
        * 2,
        'model:ml_eval_figure_worse:current{ml_eval_figure="auc"}': [],
    }
    tests = [
        {
            "eval_time": "60m",
            "expr": f"count by (ml_model_name) ({expr})",
            "exp_samples": [
                {"labels": f'{{ml_model_name="{name}"}}', "value": found.count(name)} for name in sorted({*found})
            ],
        }
        for expr, found in queries.items()
    ]
    test = {"interval": "1m", "input_series": [each.as_input() for each in series], "promql_expr_test": tests}
    assert promtool.run(tmp_path, [test], RULES) == ""


def test_a_perfect_training_and_a_reference_without_size_are_no_division_by_zero(tmp_path: Path) -> None:
    """After a training without errors any error is worse; without the size of the reference nothing is judged."""
    without_error = tasks.regression(rows("training", 500), np.arange(500.0), np.arange(500.0))
    case = Compared(regression("exact", 500, 0.0), without_error)
    unsized = [
        sample._replace(labels={**sample.labels, "ml_model_name": "unsized"})
        for sample in case.series()
        if sample.name != "ml_eval_reference_size"
    ]
    assert case.worse()["mae"]
    test = {
        "interval": "1m",
        "input_series": [each.as_input() for each in (*case.series(), *unsized)],
        "promql_expr_test": [
            {
                "eval_time": "60m",
                "expr": 'sum by (ml_model_name) (model:ml_eval_figure_worse:current{ml_eval_figure="mae"})',
                "exp_samples": [{"labels": '{ml_model_name="exact"}', "value": 1}],
            },
        ],
    }
    assert promtool.run(tmp_path, [test], RULES) == ""
