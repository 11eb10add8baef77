"""Predictions and late labels of every task through SDK, Collector and Prometheus, with 1, 3 and 16 replicas.

The figures that the recording rules compute are those of scikit-learn, exactly or within the bound that is stated for
binned scores and errors. They do not depend on the number of replicas.

Source: TheRacetrack/racetrack#187 (a figure that differs with the replica that answers).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import PAIRS, ROLES, ROWS, VERSIONS, binary, multiclass, multilabel, profile, ranking, regression
from pipeline_servers import (
    collector_environment,
    deploy_replicas,
    eventually,
    prometheus,
    promql,
    running_collector,
    write_rules,
)
from sklearn import metrics

from otel_ml import semconv
from otel_ml._figures import versions

TASK_OF = {"binary": binary, "multiclass": multiclass}
REPLICAS = (1, 3, 16)
EXACT = 1e-9
ERROR_BIN = 10**0.1
"""Ratio of the bounds of a bin of errors: a quantile is known up to this factor."""


@pytest.fixture(scope="module")
def address(otelcol: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with the figures of all tasks, from three deployments of different size."""
    folder = tmp_path_factory.mktemp("tasks")
    config = write_rules(folder, "limits", "performance_1h", "estimate_1h", "versions")
    with prometheus(folder, config) as server:
        environment = collector_environment("http://127.0.0.1:9", folder)
        environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{server}/api/v1/otlp"
        with running_collector(otelcol, environment, folder) as collector:
            for replicas in REPLICAS:
                deploy_replicas("labelled_data.py", replicas, f"{collector.address}/v1/metrics", folder)
            expected = len(REPLICAS) * 5
            eventually(lambda: promql(server, f"count(model:ml_eval_predictions:increase1h == {ROWS}) == {expected}"))
            # rules before these in their group have seen all labels too, and the next group has seen their results
            for before, after in (
                ("model:ml_eval_predictions:increase1h", "model:ml_eval_figure_high:1h"),
                ("model:ml_eval_figure_high:1h", "model:ml_estimate_wrong:1h"),
            ):
                seen = promql(server, f"max(timestamp({before}))")[0]["value"][1]
                later = f"count(timestamp({after}) > {seen}) > 0"
                eventually(lambda later=later: promql(server, later))
            pairs = f"count(pair:ml_pair_size:7d == {PAIRS}) == {len(REPLICAS) * 3}"
            eventually(lambda: promql(server, f"{pairs} and count(model:ml_version_verdict) == {len(REPLICAS) * 3}"))
            yield server


def figures(address: str, replicas: int, task: str, rule: str = "model:ml_eval_figure:1h") -> dict[str, float]:
    found = promql(address, f'{rule}{{job="replicas-{replicas}", ml_model_name="{task}"}}')
    return {each["metric"]["ml_eval_figure"]: float(each["value"][1]) for each in found}


def calibration_error(actual: Any, score: Any) -> float:
    """Returns the expected calibration error in ten uniform bins."""
    bins = np.minimum((score * 10).astype(int), 9)
    return sum(abs(actual[bins == each].sum() - score[bins == each].sum()) for each in range(10)) / len(score)


def rounded(score: Any) -> Any:
    """Rounds scores to their bin; what is ranked by them is counted exactly."""
    return np.minimum(np.floor(score * 50), 49)


def mean_over_classes(figure: Any, actual: Any, score: Any) -> float:
    return float(np.mean([figure(actual[:, each], score[:, each]) for each in range(actual.shape[1])]))


def of_binary() -> dict[str, float]:
    y, p, z = (binary().arrays[name] for name in "ypz")
    return {
        "accuracy": metrics.accuracy_score(y, z),
        "precision": metrics.precision_score(y, z),
        "recall": metrics.recall_score(y, z),
        "f1": metrics.f1_score(y, z),
        "auc": metrics.roc_auc_score(y, rounded(p)),
        "average_precision": metrics.average_precision_score(y, rounded(p)),
        "brier_score": metrics.brier_score_loss(y, p),
        "log_loss": metrics.log_loss(y, p),
        "ece": calibration_error(y, p),
    }


def of_multiclass() -> dict[str, float]:
    y, p, z = (multiclass().arrays[name] for name in "ypz")
    one_hot = np.eye(3, dtype=int)[y]
    return {
        "accuracy": metrics.accuracy_score(y, z),
        "precision": metrics.precision_score(y, z, average="macro"),
        "recall": metrics.recall_score(y, z, average="macro"),
        "f1": metrics.f1_score(y, z, average="macro"),
        "auc": metrics.roc_auc_score(one_hot, rounded(p), average="macro"),
        "average_precision": metrics.average_precision_score(one_hot, rounded(p), average="macro"),
        "brier_score": float(((p - one_hot) ** 2).sum(axis=1).mean()),
        "log_loss": metrics.log_loss(y, p),
        "ece": mean_over_classes(calibration_error, one_hot, p),
    }


def of_multilabel() -> dict[str, float]:
    y, p, z = (multilabel().arrays[name] for name in "ypz")
    return {
        "exact_match": metrics.accuracy_score(y, z),
        "hamming_loss": metrics.hamming_loss(y, z),
        "precision": metrics.precision_score(y, z, average="macro"),
        "recall": metrics.recall_score(y, z, average="macro"),
        "f1": metrics.f1_score(y, z, average="macro"),
        "auc": metrics.roc_auc_score(y, rounded(p), average="macro"),
        "average_precision": metrics.average_precision_score(y, rounded(p), average="macro"),
        "brier_score": mean_over_classes(metrics.brier_score_loss, y, p),
        "log_loss": mean_over_classes(metrics.log_loss, y, p),
        "ece": mean_over_classes(calibration_error, y, p),
    }


def of_regression() -> dict[str, float]:
    y, z = (regression().arrays[name] for name in "yz")
    return {
        "mae": metrics.mean_absolute_error(y, z),
        "rmse": metrics.root_mean_squared_error(y, z),
        "bias": float(np.mean(z - y)),
    }


def of_ranking() -> dict[str, float]:
    y, p = (ranking().arrays[name] for name in "yp")
    top = np.argsort(-p, axis=1)[:, :10]
    hits = np.take_along_axis(y, top, axis=1) > 0
    reciprocal = np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)
    return {
        "ndcg": metrics.ndcg_score(y, p, k=10),
        "reciprocal_rank": float(reciprocal.mean()),
        "hit_rate": float(hits.any(axis=1).mean()),
    }


EXPECTED = {
    "binary": of_binary,
    "multiclass": of_multiclass,
    "multilabel": of_multilabel,
    "regression": of_regression,
    "ranking": of_ranking,
}


@pytest.mark.parametrize("replicas", REPLICAS)
@pytest.mark.parametrize("task", EXPECTED)
def test_the_figures_of_a_task_are_those_of_scikit_learn(address: str, task: str, replicas: int) -> None:
    """Every figure of every task is exact over any number of replicas; ranks and calibration those of binned scores."""
    found = figures(address, replicas, task)
    quantiles = {name: found.pop(name) for name in ("error_p50", "error_p90", "error_p99") if name in found}
    assert found == pytest.approx(EXPECTED[task](), rel=EXACT)
    assert len(quantiles) == (3 if task == "regression" else 0)
    assert set(figures(address, replicas, task, "model:ml_eval_figure_labels:1h").values()) == {ROWS}
    low, high = (figures(address, replicas, task, f"model:ml_eval_figure_{side}:1h") for side in ("low", "high"))
    assert set(found) - set(low) <= {"average_precision", "ece"}
    assert all(low[name] <= value <= high[name] for name, value in found.items() if name in low)


@pytest.mark.parametrize("replicas", REPLICAS)
def test_binned_figures_are_within_their_bound(address: str, replicas: int) -> None:
    """AUC, average precision and error quantiles are as far from the exact ones as their bound says, or less."""
    y, p = (binary().arrays[name] for name in "yp")
    chosen = f'{{job="replicas-{replicas}", ml_model_name="binary"}}'

    def value(rule: str) -> float:
        return float(promql(address, f"{rule}:1h{chosen}")[0]["value"][1])

    assert abs(value("class:ml_eval_auc") - metrics.roc_auc_score(y, p)) <= value("class:ml_eval_auc_bound") < 0.02
    exact = metrics.average_precision_score(y, p)
    assert value("class:ml_eval_average_precision_least") <= exact <= value("class:ml_eval_average_precision_most")
    y, z = (regression().arrays[name] for name in "yz")
    found = figures(address, replicas, "regression")
    for percent in (50, 90, 99):
        exact = float(np.quantile(abs(z - y), percent / 100, method="inverted_cdf"))
        assert exact / ERROR_BIN <= found[f"error_p{percent}"] <= exact * ERROR_BIN


def of_pair(address: str, replicas: int, task: str, role: str, rule: str) -> dict[str, Any]:
    """Returns the only series of a pair."""
    chosen = f'job="replicas-{replicas}", ml_model_name="versions of {task}", ml_model_role="{role}"'
    [found] = promql(address, f'{rule}{{{chosen}, ml_pair_version="1", ml_pair_role="primary"}}')
    return {"value": float(found["value"][1]), "version": found["metric"]["ml_model_version"], **found["metric"]}


@pytest.mark.parametrize("replicas", REPLICAS)
@pytest.mark.parametrize(("role", "verdict"), [("canary", "worse"), ("shadow", "not enough data")])
def test_versions_under_the_same_ids_are_compared(address: str, role: str, verdict: str, replicas: int) -> None:
    """Pairs are counted once over any number of replicas, whichever process predicts and labels; so is the verdict."""
    outputs = VERSIONS["binary"]()
    right, other = (outputs[each] == outputs["actual"] for each in ("primary", role))
    four = [int(sum(each)) for each in (right & other, right & ~other, ~right & other, ~right & ~other)]
    expected = versions.compare_pairs(four)
    found = {
        name: of_pair(address, replicas, "binary", role, f"pair:ml_pair_{name}:7d")["value"]
        for name in ("accuracy_difference", "z", "boundary", "needed", "agreement")
    }
    agreement = float(np.mean(outputs["primary"] == outputs[role]))
    wanted = (expected.value, expected.z, expected.boundary, expected.needed, agreement)
    assert tuple(found.values()) == pytest.approx(wanted, rel=EXACT)
    judged = of_pair(address, replicas, "binary", role, "model:ml_version_verdict")
    assert (judged["ml_pair_verdict"], expected.verdict, judged["version"]) == (verdict, verdict, ROLES[role])


@pytest.mark.parametrize("replicas", REPLICAS)
def test_errors_under_the_same_ids_are_compared(address: str, replicas: int) -> None:
    """The same of a regression: the shadow has smaller errors."""
    outputs = VERSIONS["regression"]()
    errors, others = (abs(outputs[each] - outputs["actual"]) for each in ("primary", "shadow"))
    sums = (others - errors).sum(), ((others - errors) ** 2).sum(), errors.sum()
    expected = versions.compare_errors(PAIRS, *map(float, sums))
    found = [
        of_pair(address, replicas, "regression", "shadow", f"pair:ml_pair_{name}:7d")["value"]
        for name in ("error_difference", "z", "boundary", "needed")
    ]
    assert found == pytest.approx([expected.value, expected.z, expected.boundary, expected.needed], rel=EXACT)
    judged = of_pair(address, replicas, "regression", "shadow", "model:ml_version_verdict")
    assert (judged["ml_pair_verdict"], expected.verdict) == ("better", "better")


def chances(task: str) -> Any:
    """How likely each class is by the reference, of each row."""
    reference = profile(task)
    assert reference is not None
    assert reference.calibration is not None
    given = TASK_OF[task]().arrays["p"]
    columns = given[:, None] if task == "binary" else given
    pairs = zip(columns.T, reference.calibration.shares, strict=True)
    calibrated = [np.array(shares)[rounded(score).astype(int)] if shares else score for score, shares in pairs]
    if task == "binary":
        return np.column_stack([1 - calibrated[0], calibrated[0]])
    return np.column_stack(calibrated) / np.sum(calibrated, axis=0)[:, None]


def estimated(task: str) -> dict[str, float]:
    """The figures that scikit-learn has if each row is there once for each class, weighted by its chance."""
    likely, arrays = chances(task), TASK_OF[task]().arrays
    classes = likely.shape[1]
    rows = {"y_true": np.tile(np.arange(classes), ROWS), "y_pred": np.repeat(arrays["z"], classes)}
    weighted = {**rows, "sample_weight": likely.ravel()}
    average = {"average": "macro"} if classes > 2 else {}
    found = {
        "accuracy": metrics.accuracy_score(**weighted),
        "precision": metrics.precision_score(**weighted, **average),
        "recall": metrics.recall_score(**weighted, **average),
        "f1": metrics.f1_score(**weighted, **average),
    }
    if task == "binary":
        scores = np.repeat(rounded(arrays["p"]), 2)
        found["auc"] = metrics.roc_auc_score(rows["y_true"], scores, sample_weight=weighted["sample_weight"])
    return found


@pytest.mark.parametrize("replicas", REPLICAS)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_estimate_before_labels_is_that_of_weighted_rows(address: str, task: str, replicas: int) -> None:
    """Figures from calibrated scores are those of scikit-learn with chances as weights, and the gap is that to labels."""
    wanted = estimated(task)
    assert figures(address, replicas, task, "model:ml_estimate_figure:1h") == pytest.approx(wanted, rel=EXACT)
    low, high = (figures(address, replicas, task, f"model:ml_estimate_figure_{side}:1h") for side in ("low", "high"))
    realised = EXPECTED[task]()
    assert all(low[name] <= realised[name] <= high[name] for name in wanted)
    gaps = {name: value - realised[name] for name, value in wanted.items() if name != "auc"}
    assert figures(address, replicas, task, "model:ml_estimate_gap:1h") == pytest.approx(gaps, abs=EXACT)
    assert set(figures(address, replicas, task, "model:ml_estimate_wrong:1h").values()) == {0}


def test_all_counts_start_at_zero(address: str) -> None:
    """The first sample of every series is 0, so that Prometheus sees the first increase."""
    sums = ("ml.eval.", "ml.estimate.", "ml.pair.")
    counters = [each for each in semconv.metrics() if each.name.startswith(sums) and each.instrument == "counter"]
    names = [semconv.prometheus_name(each) for each in counters if each is not semconv.EVAL_LABELS]
    assert {name: promql(address, f"min_over_time({name}[1h]) > 0") for name in names} == dict.fromkeys(names, [])
