"""The rules about performance before labels give what `_figures/estimates.py` computes from the same sums, to 1e-9."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import labelled_predictions as tasks
import numpy as np
import promtool
import pytest
from labelled_predictions import REPLICAS, Rows, Z

from otel_ml._figures.bins import SCORE_LABELS
from otel_ml._figures.estimates import EstimateSums, estimate_gaps

RNG = np.random.default_rng(16)
RULES = {
    **promtool.PERFORMANCE_RULES,
    **{f"estimate_{window}": f"otel-ml-estimate-{window}" for window in ("1h", "24h")},
}
SUMS = ("predictions", "correct", "correct_variance", "missed", "missed_variance")
TRAINING = 900


@dataclass
class Case:
    """A model with predictions of three replicas, a part of which has labels."""

    rows: Rows
    chances: Any
    """How likely each class is by the calibration."""
    predicted: Any
    classes: list[str]
    labelled: Any
    """Which predictions have labels."""
    bins: Any = None
    reference: dict[str, float] = field(default_factory=dict)

    def sums(self, chosen: Any) -> EstimateSums:
        made = EstimateSums(len(self.classes), is_binary=self.bins is not None)
        if self.bins is None:
            made.add_all(self.predicted[chosen], self.chances[chosen])
        else:
            columns = (self.predicted[chosen], self.bins[chosen], self.chances[chosen, 1])
            for row in zip(*(column.tolist() for column in columns), strict=True):
                made.add_binary(*row)
        return made

    def series(self) -> Iterator[promtool.Sample]:
        """The counters of each replica, and the labelled ones as the evaluator of another process has them."""
        identity = self.rows.identity
        for number, replica in enumerate(REPLICAS):
            own = self.sums(self.rows.replica == number)
            yield from self._classes(own, "ml_estimate", {**identity, "instance": replica})
            for metric, values in (("score_bin", own.score_counts), ("score_sum", own.score_sums)):
                for label, value in zip(SCORE_LABELS, values, strict=False):
                    labels = {**identity, "instance": replica, "ml_eval_class": self.classes[-1], "ml_eval_bin": label}
                    yield promtool.Sample(f"ml_estimate_{metric}_total", labels, value, is_counter=True)
        yield from self._classes(self.sums(self.labelled), "ml_eval_estimate", {**identity, "instance": "evaluator"})
        yield promtool.Sample("ml_eval_reference_size", {**identity, "instance": "a"}, TRAINING)
        for name, value in self.reference.items():
            yield promtool.Sample("ml_eval_reference", {**identity, "instance": "a", "ml_eval_figure": name}, value)
        yield from self.rows.series()

    def _classes(self, sums: EstimateSums, family: str, labels: dict[str, str]) -> Iterator[promtool.Sample]:
        for name in SUMS:
            for place in sums.averaged if name.startswith("missed") else range(len(self.classes)):
                value = float(getattr(sums, name)[place])
                about = {**labels, "ml_prediction_class": self.classes[place]}
                yield promtool.Sample(f"{family}_{name}_total", about, value, is_counter=True)

    def wanted(self) -> Iterator[promtool.Sample]:
        everything = np.ones(len(self.predicted), bool)
        found = self.sums(everything).errors(TRAINING)
        values = {
            "model:ml_estimate_figure": {name: value for name, (value, _) in found.items()},
            "model:ml_estimate_figure_low": {name: max(value - Z * error, 0) for name, (value, error) in found.items()},
            "model:ml_estimate_figure_high": {
                name: min(value + Z * error, 1) for name, (value, error) in found.items()
            },
        }
        values["model:ml_estimate_figure_decline"] = {
            name: self.reference[name] - value for name, (value, _) in found.items() if name in self.reference
        }
        realised = self.rows.figures()
        gaps = estimate_gaps(self.sums(self.labelled), realised, TRAINING)
        values["model:ml_estimate_gap"] = {name: gap for name, (gap, _) in gaps.items()}
        values["model:ml_estimate_gap_z"] = {name: z for name, (_, z) in gaps.items() if z is not None}
        for record, figures in values.items():
            for name, value in figures.items():
                labels = {**self.rows.identity, "record": record, "ml_eval_figure": name}
                yield promtool.Sample("expected", labels, value)


def binary(model: str, count: int, labels: int, power: float = 1.0) -> Case:
    """Labels come true with the chance to a power: by 1 the estimate is right."""
    score = RNG.beta(0.8, 0.8, count).clip(1e-6, 1 - 1e-6)
    labelled = np.arange(count) < labels
    rows = Rows(model, RNG.choice(3, count))
    part = tasks.binary(
        Rows(model, RNG.choice(3, labels)), RNG.random(labels) < score[:labels] ** power, score[:labels]
    )
    rows.counts, rows.expected = [], part.expected
    case = Case(
        rows,
        np.column_stack([1 - score, score]),
        (score >= 0.5).astype(int),
        ["0", "1"],
        labelled,
        np.minimum((score * 50).astype(int), 49),
        {"accuracy": 0.99, "f1": 0.5},
    )
    case.rows.series = part.series  # type: ignore[method-assign]
    return case


def multiclass(model: str, count: int, labels: int) -> Case:
    names = ["cat", "dog", "eel"]
    chances = RNG.dirichlet((1, 1, 1), count).clip(1e-6)
    chances /= chances.sum(axis=1, keepdims=True)
    truth = np.array([RNG.choice(3, p=row) for row in chances[:labels]])
    rows = tasks.multiclass(Rows(model, RNG.choice(3, labels)), truth, chances[:labels], names)
    part, rows = rows, Rows(model, RNG.choice(3, count))
    rows.expected, rows.series = part.expected, part.series  # type: ignore[method-assign]
    return Case(rows, chances, chances.argmax(axis=1), names, np.arange(count) < labels)


def cases() -> list[Case]:
    certain = binary("never positive", 60, 20)
    certain.predicted[:] = 0
    certain.rows.expected, certain.rows.series = [], lambda: iter(())  # type: ignore[method-assign]
    return [
        binary("right", 1_500, 600),
        binary("wrong", 1_500, 600, 3.0),
        binary("few", 40, 30),
        certain,
        multiclass("species", 900, 500),
    ]


@pytest.fixture(scope="module")
def models() -> list[Case]:
    return cases()


def test_the_rules_agree_with_python(tmp_path: Path, models: list[Case]) -> None:
    """Estimates, intervals, declines, gaps and their z of binary and multiclass models, by the hour and by the day."""
    series = [sample for each in models for sample in each.series()]
    wanted = [sample for each in models for sample in each.wanted()]
    assert promtool.check(tmp_path, series, wanted, RULES) == ""


def test_which_estimates_are_worse_and_which_are_wrong(tmp_path: Path, models: list[Case]) -> None:
    """A figure far below training is worse, also of few predictions only from 100 on; labels contradict one model."""
    series = [sample.as_input() for each in models for sample in each.series()]
    expressions = {
        'count(model:ml_estimate_worse:1h{ml_eval_figure="accuracy"} == 1)': 2,
        'count(model:ml_estimate_worse:1h{ml_eval_figure="f1"} == 0)': 4,
        'count(model:ml_estimate_wrong:24h{ml_model_name="wrong"} == 1)': 3,
        'count(model:ml_estimate_wrong:24h{ml_model_name!="wrong"} == 1) or vector(0)': 0,
        'count(model:ml_estimate_wrong:24h{ml_model_name="right"} == 0)': 4,
    }
    cases = [
        {"eval_time": "60m", "expr": expr, "exp_samples": [{"value": value}]} for expr, value in expressions.items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": cases}
    assert promtool.run(tmp_path, [test], RULES) == ""


@pytest.mark.parametrize(("share", "found"), [(1.0, 4), (0.96, 4), (0.9, 0)])
def test_a_gap_needs_estimates_of_the_labels(tmp_path: Path, models: list[Case], share: float, found: int) -> None:
    """A gap is absent if a tenth of the labels had no estimate, and is there if only a few had none."""
    series = [
        sample._replace(value=sample.value * share) if sample.name.startswith("ml_eval_estimate") else sample
        for sample in next(each for each in models if each.rows.identity["ml_model_name"] == "right").series()
    ]
    expr = "count(model:ml_estimate_gap:1h) or vector(0)"
    case = {"eval_time": "60m", "expr": expr, "exp_samples": [{"value": found}]}
    inputs = [sample.as_input() for sample in series]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": [case]}
    assert promtool.run(tmp_path, [test], RULES) == ""


def test_a_gap_is_there_after_a_minute(tmp_path: Path) -> None:
    """Labels whose counters began 20 s after those of the estimates have a gap; `increase` has 3 % more of them."""
    model = 'ml_model_name="young", ml_model_version="1", ml_model_role="primary"'
    expected = {"predictions": 13, "correct": 11, "correct_variance": 2, "missed": 2, "missed_variance": 2}
    series = [
        {
            "series": f'ml_eval_estimate_{name}_total{{{model}, ml_prediction_class="{label}"}}',
            "values": f"0+{step}x12",
        }
        for name, step in expected.items()
        for label in ("0", "1")
    ]
    outcome = 'ml_eval_outcomes_total{%s, ml_eval_predicted="%s", ml_eval_actual="%s"}'
    series += [
        {"series": outcome % (model, predicted, actual), "values": f"_x4 0+{19.5 * share:g}x8"}
        for predicted, actual, share in (("0", "0", 0.75), ("0", "1", 0.25), ("1", "1", 0.75), ("1", "0", 0.25))
    ]
    series.append({"series": f"ml_eval_reference_size{{{model}}}", "values": "900x12"})
    case = {"eval_time": "64s", "expr": "count(model:ml_estimate_gap:1h) > bool 0", "exp_samples": [{"value": 1}]}
    test = {"interval": "5s", "input_series": series, "promql_expr_test": [case]}
    assert promtool.run(tmp_path, [test], RULES, interval="32s") == ""
