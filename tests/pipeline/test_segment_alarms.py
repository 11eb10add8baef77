"""Alarm rates of the rules about segments: over 1,000 simulated weeks without a cause, and with one bad segment.

The simulation has the formulas of `otel_ml/_figures/segments.py` for whole arrays of windows; `test_segment_rules.py` compares
the rules with the same module.

Sources: fairlearn/fairlearn#999 (differences between many small groups without their uncertainty), NannyML/nannyml#88
(small chunks alert), dssg/aequitas#104 (groups without positive predictions).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import promtool
import pytest
from segment_counts import FOUR_FIFTHS, LEAST_ROWS, POINTS, RULES, SHARE, Column, Segment

from otel_ml._figures import segments as figures
from otel_ml._figures.segments import Errors

Array = np.ndarray[Any, Any]
HOURS = 168
WEEKS = 1000


def limits(rows: Array) -> Array:
    """The limit of each window, by its segments with rows."""
    known = (rows > 0).sum(0)
    return np.array([figures.noise_limit(max(count, 1)) for count in range(len(rows) + 1)])[known]


def z_of_shares(part: Array, whole: Array, rest_part: Array, rest_whole: Array) -> Array:
    """The signed root of the likelihood ratio of the share of a segment and that of the rest."""
    common = (part + rest_part) / (whole + rest_whole)

    def term(seen: Array, expected: Array) -> Array:
        return seen * np.log(np.maximum(seen, 1e-300) / np.maximum(expected, 1e-300))

    deviance = 2 * (
        term(part, whole * common)
        + term(whole - part, whole * (1 - common))
        + term(rest_part, rest_whole * common)
        + term(rest_whole - rest_part, rest_whole * (1 - common))
    )
    return np.sign(part / whole - rest_part / rest_whole) * np.sqrt(np.maximum(deviance, 0))


def is_beyond(possible: Array, part: Array, whole: Array) -> Array:
    """Of the possible segments, by segment and window, those that are above the rest by more than the limit."""
    at = np.nonzero(possible & (whole >= LEAST_ROWS) & (whole.sum(0) - whole >= LEAST_ROWS))
    own, rest = (part, whole), (part.sum(0) - part, whole.sum(0) - whole)
    found = np.zeros(part.shape, bool)
    found[at] = z_of_shares(*(each[at] for each in (*own, *rest))) > np.broadcast_to(limits(whole), part.shape)[at]
    return found


def is_worse(wrong: Array, labels: Array) -> Array:
    """Whether the rule says that a segment is worse, by segment and window."""
    with np.errstate(all="ignore"):
        gap = wrong / labels - (wrong.sum(0) - wrong) / (labels.sum(0) - labels)
        return is_beyond(gap > POINTS, wrong, labels)


def zipf(count: int) -> Array:
    shares = 1 / np.arange(1, count + 1)
    return shares / shares.sum()


def test_the_simulation_has_the_formulas_of_the_rules() -> None:
    """The simulated z and verdict of any window are those of the module that the rules are compared with."""
    rng = np.random.default_rng(1)
    labels = rng.poisson(10 ** rng.uniform(0.5, 3, (5, 50)))
    wrong = rng.binomial(labels, rng.uniform(0, 0.5, (5, 50)))
    columns = [
        Column(
            "any", {str(at): Segment(right=(int(n - w), int(w))) for at, (n, w) in enumerate(zip(*window, strict=True))}
        )
        for window in zip(labels.T, wrong.T, strict=True)
    ]
    found = is_worse(wrong, labels)
    expected = [[(str(at), "accuracy") in column.worse() for column in columns] for at in range(5)]
    assert found.tolist() == expected
    assert found.any()


@pytest.mark.parametrize(
    ("shares", "labels", "accuracy", "most"),
    [
        (np.full(12, 1 / 12), 600, 0.7, 1.2),
        (zipf(8), 1500, 0.9, 1.2),
        (zipf(14), 3000, 0.95, 1.2),
        (np.array([0.95, 0.05]), 1000, 0.9, 2.2),
        (np.full(8, 1 / 8), 20000, 0.9, 0.0),
    ],
)
def test_a_column_without_a_cause_alarms_in_one_of_1000_windows(
    shares: Array, labels: int, accuracy: float, most: float
) -> None:
    """Of all hours of 1,000 weeks, at most 1 in 1,000 has a segment that is worse; of two small segments at most 2."""
    rng = np.random.default_rng(2)
    rows = rng.poisson(labels * shares[:, None], (len(shares), WEEKS * HOURS))
    wrong = rng.binomial(rows, 1 - accuracy)
    assert 1000 * is_worse(wrong, rows).any(0).mean() <= most


@pytest.mark.parametrize("draw", ["standard_exponential", "standard_normal", "lognormal"])
@pytest.mark.parametrize("sizes", [(60,) * 8, (300, 30), (30, 100, 300)])
def test_mean_errors_without_a_cause_alarm_in_one_of_1000_windows(draw: str, sizes: Sequence[int]) -> None:
    """Absolute errors of any law, also with a few that are much larger, give at most one alarm in 1,000 windows."""
    rng = np.random.default_rng(3)
    errors = abs(getattr(rng, draw)(size=(10_000, sum(sizes))))
    ends = np.cumsum([0, *sizes])[:-1]
    own = np.stack(
        [np.broadcast_to(sizes, (10_000, len(sizes))), *(np.add.reduceat(errors**power, ends, 1) for power in (1, 2))]
    )
    rest = own.sum(2, keepdims=True) - own

    def variance(of: Array) -> Array:
        return (of[2] - of[1] ** 2 / of[0]) / (of[0] - 1)

    column = variance(own + rest)
    error = np.sqrt(sum(np.maximum(variance(of), column) / of[0] for of in (own, rest)))
    gap = own[1] / own[0] - rest[1] / rest[0]
    is_beyond = (gap / error > figures.noise_limit(len(sizes))) & (gap > SHARE * rest[1] / rest[0])
    assert gap[0, 0] / error[0, 0] == pytest.approx(figures.mean_z(Errors(*own[:, 0, 0]), Errors(*rest[:, 0, 0])))
    assert 1000 * is_beyond.any(1).mean() <= 1.0


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.7])
def test_equal_selection_rates_are_not_unfair(rate: float) -> None:
    """Groups that are selected at one rate are unfair in at most 1 of 1,000 windows, of either class."""
    rng = np.random.default_rng(4)
    rows = rng.poisson(np.array([600, 300, 60, 20])[:, None], (4, WEEKS * HOURS))
    for selected in (rng.binomial(rows, rate), rng.binomial(rows, 1 - rate)):
        rates = selected / np.maximum(rows, 1)
        is_low = rates < FOUR_FIFTHS * np.where(rows >= LEAST_ROWS, rates, 0).max(0)
        assert 1000 * is_beyond(is_low, rows - selected, rows).any(0).mean() <= 1.2


def test_a_column_without_a_cause_alerts_less_than_once_in_20_weeks() -> None:
    """Over 1,000 weeks, an alarm of the last hour or day that lasts an hour comes in 1 of 20 weeks or fewer.

    Each of 8 segments has 30 labels an hour, of which 30 % are wrong: hour and day are both noisy. It is evaluated every
    15 minutes: with more samples an alarm lasts an hour less often.
    """
    rng = np.random.default_rng(5)
    hour, day = 4, 96
    rows = rng.poisson(30 / hour, (8, WEEKS, day + HOURS * hour))
    counts = np.stack([rng.binomial(rows, 0.3), rows]).cumsum(3)
    now = counts[..., day:]
    found = [is_worse(*(now - counts[..., day - window : -window])).any(0) for window in (hour, day)]
    held = np.lib.stride_tricks.sliding_window_view(found[0] | found[1], hour + 1, axis=1).all(2)
    alerts = int((held[:, 1:] & ~held[:, :-1]).sum() + held[:, 0].sum())
    assert alerts / WEEKS <= 0.05


@pytest.mark.parametrize(("accuracy", "labels", "hours"), [(0.6, 60, 2), (0.75, 120, 3), (0.8, 400, 2)])
def test_a_segment_that_goes_bad_is_found(accuracy: float, labels: int, hours: int) -> None:
    """A segment of 5 % whose accuracy falls below the 90 % of the rest is found within hours in 19 of 20 cases."""
    rng = np.random.default_rng(6)
    rows = np.stack([rng.poisson(labels * times, (4000, hours)) for times in (1, 4, 5, 10)])
    wrong = rng.binomial(rows, np.array([1 - accuracy, 0.1, 0.1, 0.1])[:, None, None])
    hourly = is_worse(wrong, rows)
    daily = is_worse(wrong.sum(2), rows.sum(2))
    assert (hourly[0].any(1) | daily[0]).mean() > 0.95


def minutely(name: str, value: str, step: float, after: float, **labels: str) -> dict[str, str]:
    """A counter that grows by `step` every 5 minutes for two hours, and then by `after`."""
    own = {"job": "api", "ml_model_name": "fraud", "ml_model_version": "1", "ml_model_role": "primary"}
    pairs = ", ".join(
        f'{key}="{text}"'
        for key, text in {**own, "ml_segment_name": "region", "ml_segment_value": value, **labels}.items()
    )
    return {"series": f"{name}{{{pairs}}}", "values": f"0+{step:g}x24 {24 * step + after:g}+{after:g}x36"}


def test_one_segment_goes_bad_while_the_whole_looks_fine(tmp_path: Path) -> None:
    """From the counts to the alert: a twentieth of the traffic goes wrong, the whole loses 3 points and does not alert."""
    series = []
    for value, right, wrong in (("north", 45.0, 5.0), ("south", 45.0, 5.0), ("west", 4.5, 0.5)):
        after = (2.0, 3.0) if value == "west" else (right, wrong)
        series += [
            minutely("ml_eval_segment_outcomes_total", value, right, after[0], ml_eval_outcome="correct"),
            minutely("ml_eval_segment_outcomes_total", value, wrong, after[1], ml_eval_outcome="wrong"),
        ]
    alert = {
        "exp_labels": {
            "severity": "warning", "signal": "labels", "ml_eval_figure": "accuracy",
            "job": "api", "ml_model_name": "fraud", "ml_model_version": "1", "ml_model_role": "primary",
        },
        "exp_annotations": {
            "summary": "fraud 1 performs worse in some segments than in the rest",
            "description": "By the labels of the last hour or day, accuracy is worse than in the rest for region=west.",
            "runbook_url": "deploy/runbook.md#segmentperformance",
        },
    }  # fmt: skip
    test = {
        "interval": "5m",
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": "120m", "alertname": "SegmentPerformance", "exp_alerts": []},
            {"eval_time": "240m", "alertname": "SegmentPerformance", "exp_alerts": [alert]},
        ],
    }
    assert promtool.run(tmp_path, [test], RULES, interval="5m", alerts={"segments": "otel-ml-segments"}) == ""
