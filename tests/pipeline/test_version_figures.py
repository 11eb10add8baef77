"""The recording rules that compare two versions give what the Python functions give from the same counts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import promtool
from promtool import Sample

from otel_ml._figures import versions
from otel_ml._figures.versions import Difference

RULES = {"performance_24h": "otel-ml-performance-24h", "versions": "otel-ml-versions"}
RNG = np.random.default_rng(16)
BASELINE = {"ml_pair_version": "1", "ml_pair_role": "primary"}
NAMES = ("both", "only_baseline", "only_challenger", "neither")


def identity(model: str, version: str = "2", role: str = "canary") -> dict[str, str]:
    return {"job": "api", "ml_model_name": model, "ml_model_version": version, "ml_model_role": role}


def split(name: str, labels: dict[str, str], value: float) -> Iterator[Sample]:
    """One counter of two replicas, one of which has a third of it."""
    for replica, share in (("a", value // 3), ("b", value - value // 3)):
        yield Sample(name, {**labels, "instance": replica}, float(share), is_counter=True)


def class_pairs(model: str, four: tuple[int, ...]) -> Iterator[Sample]:
    for name, count in zip(NAMES, four, strict=True):
        yield from split("ml_pair_outcomes_total", {**identity(model), **BASELINE, "ml_pair_outcome": name}, count)


def error_pairs(model: str, errors: Any, others: Any) -> Iterator[Sample]:
    labels, difference = {**identity(model), **BASELINE}, others - errors
    yield from split("ml_pair_predictions_total", labels, len(errors))
    yield from split("ml_pair_absolute_error_total", labels, errors.sum())
    yield from split("ml_pair_error_difference_squares_total", labels, (difference**2).sum())
    for direction, sign in (("over", 1), ("under", -1)):
        total = np.maximum(sign * difference, 0).sum()
        yield from split("ml_pair_error_difference_total", {**labels, "ml_eval_direction": direction}, total)


def labels_of(model: str, right: tuple[int, int], counts: tuple[int, int]) -> Iterator[Sample]:
    for one, hits, count in zip((identity(model, "1", "primary"), identity(model)), right, counts, strict=True):
        for predicted, actual in product("01", "01"):
            value = (hits if predicted == actual else count - hits) if actual == "1" else 0
            labels = {**one, "ml_eval_predicted": predicted, "ml_eval_actual": actual}
            yield from split("ml_eval_outcomes_total", labels, value)


def cases() -> Iterator[tuple[str, list[Sample], Difference, bool]]:
    """Model, its counters, what Python says, and whether the difference is one of errors."""
    fours = [(50, 1, 0, 3), (90, 30, 30, 10), (0, 0, 40, 0), (900, 160, 60, 80), (900, 60, 160, 80), (20000, 9, 7, 90)]
    fours += [tuple(RNG.integers(0, 2000, 4).tolist()) for _ in range(6)] + [(7, 0, 0, 1), (9000, 400, 410, 900)]
    for number, four in enumerate(fours):
        yield f"pairs {number}", [*class_pairs(f"pairs {number}", four)], versions.compare_pairs(four), False
    shares = [((900, 80), (1000, 120)), ((900, 60), (1000, 120)), ((99, 50), (120, 50)), ((9990, 990), (10000, 1000))]
    shares += [((10000, 1000), (10000, 1000)), ((50000, 49900), (60000, 60000)), ((3, 0), (200, 200))]
    for number, (right, counts) in enumerate(shares):
        yield (
            f"labels {number}",
            [*labels_of(f"labels {number}", right, counts)],
            versions.compare_shares(right, counts),
            False,
        )
    for number, (size, factor) in enumerate([(50, 1.0), (99, 3.0), (400, 1.0), (900, 1.5), (900, 0.6), (20000, 1.001)]):
        errors = RNG.gamma(2, 3, size)
        others = errors * factor + RNG.normal(0, 0.2, size) ** 2
        sums = (others - errors).sum(), ((others - errors) ** 2).sum(), errors.sum()
        found = versions.compare_errors(size, *map(float, sums))
        yield f"errors {number}", [*error_pairs(f"errors {number}", errors, others)], found, True


def wanted(model: str, found: Difference, is_error: bool) -> Iterator[tuple[str, float]]:
    series = f'{{ml_model_name="{model}", ml_model_role="canary", ml_pair_version="1", ml_pair_role="primary"}}'
    difference = "error_difference" if is_error else "accuracy_difference"
    values = {difference: found.value, "z": found.z, "boundary": found.boundary, "needed": found.needed}
    for name, value in values.items():
        if value is not None:
            yield f"pair:ml_pair_{name}:7d{series}", value
    verdict = series.replace("{", f'{{ml_pair_verdict="{found.verdict}", ', 1)
    yield f"count(model:ml_version_verdict{verdict} == 1)", 1
    yield f"count(model:ml_version_verdict{series})", 1


def test_the_rules_and_python_agree_about_two_versions(tmp_path: Path) -> None:
    """Difference, standard errors, boundary, number needed and verdict are the same, by pairs, by labels, by errors."""
    series: list[Sample] = []
    queries = []
    verdicts = set()
    for model, samples, found, is_error in cases():
        series += samples
        verdicts.add(found.verdict)
        for expr, value in wanted(model, found, is_error):
            close = (
                f"({expr}) == {value}"
                if np.isinf(value)
                else f"abs(({expr}) - {value!r}) <= {1e-9 * max(abs(value), 1)!r}"
            )
            queries.append({"eval_time": "60m", "expr": f"count({close})", "exp_samples": [{"value": 1}]})
    test = {"interval": "1m", "input_series": [each.as_input() for each in series], "promql_expr_test": queries}
    assert promtool.run(tmp_path, [test], RULES) == ""
    assert verdicts == {versions.BETTER, versions.WORSE, versions.NO_DIFFERENCE, versions.NOT_ENOUGH}
