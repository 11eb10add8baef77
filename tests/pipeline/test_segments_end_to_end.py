"""Segments through SDK, Collector and Prometheus with 1, 3 and 16 replicas: each figure is that of scikit-learn or scipy.

Predictions come from forked processes, labels late and from other ones. The values of the column `sex` are sensitive.

Sources: fairlearn/fairlearn#935 (ratios and differences of any figure between groups), TheRacetrack/racetrack#187 (a figure
that differs with the replica that answers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segment_data
from pipeline_servers import (
    collector_environment,
    deploy_replicas,
    eventually,
    prometheus,
    promql,
    running_collector,
    write_rules,
)
from scipy.stats import chi2_contingency, entropy
from segment_data import DEVICES, FAILED, GROUPS, REGIONS, ROWS, SEXES
from sklearn import metrics

Array = np.ndarray[Any, Any]
REPLICAS = (1, 3, 16)
EXACT = 1e-9
COLUMNS = {"region": REGIONS, "sex": SEXES, "device": DEVICES}


@pytest.fixture(scope="module")
def address(otelcol: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with the figures of the segments of both models, from three deployments of different size."""
    folder = tmp_path_factory.mktemp("segments")
    config = write_rules(folder, "limits", "segments_1h")
    with prometheus(folder, config) as server:
        environment = collector_environment("http://127.0.0.1:9", folder)
        environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{server}/api/v1/otlp"
        with running_collector(otelcol, environment, folder) as collector:
            for replicas in REPLICAS:
                deploy_replicas("segment_data.py", replicas, f"{collector.address}/v1/metrics", folder)
            columns = len(REPLICAS) * 2 * len(COLUMNS)
            labelled = "sum by (job, ml_model_name, ml_segment_name) (segment:ml_labels:1h)"
            eventually(lambda: promql(server, f"count({labelled} == {ROWS}) == {columns}"))
            seen = promql(server, "max(timestamp(segment:ml_labels:1h))")[0]["value"][1]
            eventually(lambda: promql(server, f"count(timestamp(segment:ml_score_shift_noise:1h) > {seen}) > 0"))
            yield server


def exported(column: str, value: str | None) -> str:
    return GROUPS.get(value or "", value or "__missing__") if column == "sex" else value or "__missing__"


def recorded(address: str, replicas: int, model: str, rule: str) -> dict[tuple[str, ...], float]:
    """The values of a rule by column, segment, and class or figure."""
    found = promql(address, f'{rule}:1h{{job="replicas-{replicas}", ml_model_name="{model}"}}')
    labels = ("ml_segment_name", "ml_segment_value", "ml_prediction_class", "ml_eval_figure")
    return {
        tuple(each["metric"][name] for name in labels if name in each["metric"]): float(each["value"][1])
        for each in found
    }


def by_segment(arrays: dict[str, Array], figure: Callable[[Array], float]) -> dict[tuple[str, ...], float]:
    """A figure of the rows of each segment."""
    return {
        (column, exported(column, value)): float(figure(arrays[column] == value))
        for column, values in COLUMNS.items()
        for value in values
    }


def root_of_likelihood_ratio(wrong: Array, inside: Array) -> float:
    """The signed root of scipy's G statistic of the segment against the rest."""
    table = [[wrong[rows].sum(), (~wrong[rows]).sum()] for rows in (inside, ~inside)]
    statistic = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    return float(np.sign(wrong[inside].mean() - wrong[~inside].mean()) * np.sqrt(statistic))


def shift(score: Array, inside: Array) -> float:
    """PSI of ten bins, smoothed towards the column: the sum of both relative entropies."""
    own, rest = (np.histogram(score[rows], 10, (0, 1))[0] for rows in (inside, ~inside))
    share = (own + rest) / len(score)
    p, q = ((part + 10 * share) / (part.sum() + 10) for part in (own, rest))
    return float(entropy(p, q) + entropy(q, p))


@pytest.mark.parametrize("replicas", REPLICAS)
def test_performance_by_segment_is_that_of_scikit_learn(address: str, replicas: int) -> None:
    """Accuracy, mean absolute error and numbers of labels of each segment are exact over any number of replicas."""
    loans, prices = segment_data.loans(), segment_data.prices()
    for rule, model, arrays, figure in (
        ("segment:ml_accuracy", "loans", loans, metrics.accuracy_score),
        ("segment:ml_mae", "prices", prices, metrics.mean_absolute_error),
        ("segment:ml_labels", "loans", loans, lambda actual, _: len(actual)),
        ("segment:ml_labels", "prices", prices, lambda actual, _: len(actual)),
    ):
        actual, predicted = arrays["actual"], arrays["predicted"]
        expected = by_segment(arrays, lambda rows: figure(actual[rows], predicted[rows]))  # noqa: B023
        assert recorded(address, replicas, model, rule) == pytest.approx(expected, rel=EXACT), rule


@pytest.mark.parametrize("replicas", REPLICAS)
def test_the_distance_from_the_rest_is_that_of_scipy(address: str, replicas: int) -> None:
    """Each segment's z is the root of scipy's G statistic; the bad region and the bad device are the only worse ones."""
    loans = segment_data.loans()
    wrong = loans["actual"] != loans["predicted"]
    expected = by_segment(loans, lambda rows: root_of_likelihood_ratio(wrong, rows))
    found = recorded(address, replicas, "loans", "segment:ml_gap_z")
    assert {key[:2]: z for key, z in found.items() if key[2:] == ("accuracy",)} == pytest.approx(expected, rel=1e-6)
    worse = {
        (model, *key)
        for model in ("loans", "prices")
        for key, value in recorded(address, replicas, model, "segment:ml_worse").items()
        if value
    }
    assert worse == {("loans", "region", "west", "accuracy"), ("prices", "device", "tablet", "mae")}


@pytest.mark.parametrize("replicas", REPLICAS)
def test_fairness_is_that_of_the_rates_of_scikit_learn(address: str, replicas: int) -> None:
    """Selection rates, their ratio and the differences of true and false positive rates are those of the rows."""
    loans = segment_data.loans()
    actual, predicted = loans["actual"], loans["predicted"]

    def spread(rates: dict[tuple[str, ...], float]) -> dict[str, list[float]]:
        return {column: [rate for key, rate in rates.items() if key[0] == column] for column in COLUMNS}

    selection = by_segment(loans, lambda rows: predicted[rows].mean())
    found = recorded(address, replicas, "loans", "segment:ml_selection_rate")
    assert {key[:2]: rate for key, rate in found.items() if key[2] == "1"} == pytest.approx(selection, rel=EXACT)
    ratios = recorded(address, replicas, "loans", "segment:ml_selection_ratio")
    expected = {(column, "1"): min(rates) / max(rates) for column, rates in spread(selection).items()}
    assert {key: ratio for key, ratio in ratios.items() if key[1] == "1"} == pytest.approx(expected, rel=EXACT)
    kinds = {
        "true_positive": lambda rows: metrics.recall_score(actual[rows], predicted[rows]),
        "false_positive": lambda rows: 1 - metrics.recall_score(actual[rows], predicted[rows], pos_label=0),
    }
    for name, rate in kinds.items():
        rates = by_segment(loans, rate)
        assert recorded(address, replicas, "loans", f"segment:ml_{name}_rate") == pytest.approx(rates, rel=EXACT)
        differences = {(column,): max(each) - min(each) for column, each in spread(rates).items()}
        found = recorded(address, replicas, "loans", f"segment:ml_{name}_rate_difference")
        assert found == pytest.approx(differences, rel=EXACT)
    unfair = {key for key, value in recorded(address, replicas, "loans", "segment:ml_unfair").items() if value}
    assert ("sex", "group 2", "1") in unfair


@pytest.mark.parametrize("replicas", REPLICAS)
def test_errors_scores_and_missing_values_are_counted_by_segment(address: str, replicas: int) -> None:
    """The error ratio, the shift of the scores and missing values of each segment are those of the rows."""
    loans, failed = segment_data.loans(), segment_data.features(FAILED, 25)
    errors = by_segment(failed, np.sum)
    rows = by_segment(loans, np.sum)
    ratios = {key: errors[key] / (errors[key] + count) for key, count in rows.items()}
    assert recorded(address, replicas, "loans", "segment:ml_error_ratio") == pytest.approx(ratios, rel=EXACT)
    shifts = by_segment(loans, lambda inside: shift(loans["score"], inside))
    assert recorded(address, replicas, "loans", "segment:ml_score_shift") == pytest.approx(shifts, rel=EXACT)
    both = {name: np.concatenate([loans[name], failed[name]]) for name in (*COLUMNS, "income")}
    missing = by_segment(both, lambda inside: np.mean([value is None for value in both["income"][inside]]))
    found = promql(address, f'segment:ml_missing_values:ratio1h{{job="replicas-{replicas}", ml_model_name="loans"}}')
    of = {
        (each["metric"]["ml_segment_name"], each["metric"]["ml_segment_value"]): float(each["value"][1])
        for each in found
    }
    assert of == pytest.approx(missing, rel=EXACT)


def test_sensitive_values_are_groups(address: str) -> None:
    """No series has a value of the sensitive column."""
    found = promql(address, 'count by (ml_segment_value) ({ml_segment_name="sex", ml_segment_value!=""})')
    assert {each["metric"]["ml_segment_value"] for each in found} == {*GROUPS.values()}
