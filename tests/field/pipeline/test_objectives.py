"""Objectives: burn rates are those of Sloth, and a budget is spent by events.

Sources: slok/sloth#332 and #459 (30 days are a mean of means: a bad night weighs as much as a bad noon), slok/sloth#231 (a window without
traffic makes the whole month NaN), pyrra-dev/pyrra#1602 (with little traffic a few errors page), kcp-dev/kcp-glbc#287 (a low objective
can never page).
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import promtool
import pytest
import yaml

from otel_ml.cli import main

SLOTH = Path(__file__).resolve().parent / "sloth" / "rules.yaml"
ALERTS = promtool.PROMETHEUS / "alerts" / "objectives.yaml"
STEP, STEPS = 4, 420
"""Minutes between two samples, and how many of them: 28 hours."""
GROUPS = ["otel-ml-objectives", "otel-ml-objectives-days", "otel-ml-objectives-alerts"]
MODEL = {"job": "api", "ml_model_name": "fraud", "ml_model_version": "1", "ml_model_role": "primary"}


def series(name: str, steps: Any, **labels: str) -> dict[str, str]:
    """A counter that grows by so much in each step; None is a step without a sample."""
    pairs = ", ".join(f"{key}={json.dumps(text)}" for key, text in (MODEL | labels).items())
    total, values = 0, []
    for step in steps:
        total += int(step or 0)
        values.append("_" if step is None else str(total))
    return {"series": f"{name}{{{pairs}}}", "values": " ".join(values)}


def complaints(folder: Path, files: list[Path], groups: list[str], test: dict[str, Any]) -> str:
    """Runs promtool; returns its complaints."""
    file = folder / "test.yaml"
    content = {
        "rule_files": [str(each) for each in files],
        "evaluation_interval": f"{STEP}m",
        "group_eval_order": groups,
        "tests": [{"interval": f"{STEP}m", **test}],
    }
    file.write_text(json.dumps(content))
    done = subprocess.run([promtool.binary(), "test", "rules", str(file)], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def rules(folder: Path, thresholds: str) -> list[Path]:
    """Writes the rules of a file of thresholds; returns those about objectives."""
    own = folder / "own.yaml"
    own.write_text(thresholds)
    assert main(["rules", "--thresholds", str(own), "--output", str(folder)]) == 0
    return [folder / "rules" / "objectives.yaml", folder / "alerts" / "objectives.yaml"]


def query(expr: str, *values: float, at: int = STEPS - 1) -> dict[str, Any]:
    return {"expr": expr, "eval_time": f"{at * STEP}m", "exp_samples": [{"value": value} for value in values]}


@pytest.mark.timeout(900)
def test_burn_rates_and_alerts_are_those_of_sloth(tmp_path: Path) -> None:
    """Rules that Sloth wrote for the same objectives have the same ratio in each window and alert in the same minutes."""
    rng = np.random.default_rng(17)
    calls = rng.poisson(300, STEPS)
    trouble = [rng.choice([0.001, 0.012, 0.05, 0.3], STEPS // 20, p=[0.6, 0.1, 0.1, 0.2]).repeat(20) for _ in range(3)]
    for each in trouble:
        each[-60:] = 0.001  # four hours in which only long windows still burn
    failed, slow, wrong = (
        rng.binomial(calls, np.minimum(share * factor, 1)) for share, factor in zip(trouble, (1, 3, 4), strict=True)
    )
    inputs = [
        series("ml_prediction_duration_seconds_count", calls),
        series("ml_prediction_duration_seconds_bucket", calls - slow, le="0.5"),
        series("ml_prediction_errors_total", failed, error_type="ValueError"),
        *(
            series("ml_eval_outcomes_total", steps, ml_eval_predicted=predicted, ml_eval_actual=actual)
            for predicted, actual, steps in (
                ("yes", "yes", (calls - wrong) // 2),
                ("no", "no", (calls - wrong) // 3),
                ("yes", "no", wrong // 2),
                ("no", "yes", wrong // 3),
            )
        ),
    ]
    always, queries = f"[{STEPS * STEP}m:{STEP}m]", []
    for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"):
        theirs = f'label_replace(slo:sli_error:ratio_rate{window}, "ml_slo", "$1", "sloth_slo", "(.*)")'
        ours = f"slo:ml_bad_events:rate{window} / slo:ml_events:rate{window}"
        far = f"abs({ours} - on (ml_slo) {theirs}) > 1e-9"
        queries += [query(f"count_over_time(({far}){always})"), query(f"count({ours} - on (ml_slo) {theirs})", 3)]
    firing = 'sum by (ml_slo, severity) (ALERTS{alertname="ErrorBudgetBurn"})'
    theirs = 'label_replace(ALERTS{alertname="Burn"}, "ml_slo", "$1", "sloth_slo", "(.*)")'
    theirs = f"sum by (ml_slo, severity) ({theirs})"
    queries += [
        query(f"count_over_time(({firing} unless {theirs}){always})"),
        query(f"count_over_time(({theirs} unless {firing}){always})"),
        query(f"count(count_over_time(({firing}){always}) > 20)", 5),
        query(f"count(count_over_time(({firing}){always}) < {STEPS - 20})", 4),
    ]
    groups = [group["name"] for group in yaml.safe_load(SLOTH.read_text())["groups"]]
    ours = rules(tmp_path, "objectives: {quality: 0.9, least_bad: 1}")
    test = {"input_series": inputs, "promql_expr_test": queries}

    assert complaints(tmp_path, [*ours, SLOTH], [*GROUPS, *groups], test) == ""


def test_windows_and_factors_are_those_of_sloth() -> None:
    """Each pair of windows and its factor is one of Sloth's, with the same severity."""

    def pairs(file: Path, alert: str, pattern: str) -> set[tuple[str, frozenset[tuple[str, ...]]]]:
        groups = yaml.safe_load(file.read_text())["groups"]
        return {
            (rule["labels"]["severity"], frozenset(re.findall(pattern, part)))
            for group in groups
            for rule in group["rules"]
            if rule.get("alert") == alert
            for part in re.split(r"^or\b", rule["expr"], flags=re.MULTILINE)
        }

    ours = pairs(ALERTS, "ErrorBudgetBurn", r"slo:ml_burn_rate:(\w+)(?:{.*?})? > ([0-9.]+)")

    assert len(ours) == 4
    assert ours == pairs(SLOTH, "Burn", r"ratio_rate(\w+){.*?} > \(([0-9.]+) \*")


def test_a_budget_is_spent_by_events(tmp_path: Path) -> None:
    """A quiet hour in which every call fails costs its calls, and an hour without calls nothing."""
    hour = 60 // STEP
    calls = [100] * 5 * hour + [0] * 5 * hour + [1] * 5 * hour + [100] * 12 * hour
    failed = [0] * 10 * hour + [1] * 5 * hour + [0] * 12 * hour
    inputs = [
        series("ml_prediction_duration_seconds_count", [0, *calls]),
        series("ml_prediction_errors_total", [0, *failed], error_type="ValueError"),
    ]
    left = 'max(round(slo:ml_error_budget_remaining:30d{ml_slo="errors"}, 0.01))'
    at = 26 * hour
    spent = 1 - sum(failed[:at]) / sum(calls[:at]) / 0.01
    test = {"input_series": inputs, "promql_expr_test": [query(left, round(spent, 2), at=at)]}

    assert complaints(tmp_path, rules(tmp_path, "{}"), GROUPS, test) == ""


@pytest.mark.parametrize(("failing", "alerts"), [(4, 0), (5, 1)])
def test_a_few_failures_of_a_quiet_model_never_page(tmp_path: Path, failing: int, alerts: int) -> None:
    """Four failures within six hours are a large share of eight calls; the fifth one pages."""
    calls = [0, *([1, *[0] * 9] * 12)]
    failures = [0, *([1, *[0] * 9] * failing)]
    quiet = len(calls) - len(failures)
    inputs = [
        series("ml_prediction_duration_seconds_count", calls),
        series("ml_prediction_errors_total", [0] * quiet + failures, error_type="ValueError"),
    ]
    paged = 'ALERTS{alertname="ErrorBudgetBurn", severity="critical"}'
    queries = [query(f"count(count_over_time({paged}[12h]))", *[1] * alerts, at=len(calls) - 1)]

    assert (
        complaints(tmp_path, rules(tmp_path, "{}"), GROUPS, {"input_series": inputs, "promql_expr_test": queries}) == ""
    )


def test_an_objective_that_can_never_page_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the lowest objective that is accepted, a model whose calls all fail pages; a lower one is an error."""
    steps = [100] * 100
    inputs = [
        series("ml_prediction_duration_seconds_count", steps),
        series("ml_prediction_errors_total", steps, error_type="ValueError"),
    ]
    paged = query('count(ALERTS{alertname="ErrorBudgetBurn", severity="critical"})', 1, at=99)
    test = {"input_series": inputs, "promql_expr_test": [paged]}

    assert complaints(tmp_path, rules(tmp_path, "objectives: {errors: 0.84, latency: off}"), GROUPS, test) == ""
    (tmp_path / "own.yaml").write_text("objectives: {errors: 0.8}")
    assert main(["rules", "--thresholds", str(tmp_path / "own.yaml")]) == 2
    assert "objectives.errors: 0.8 is not a number from 0.84" in capsys.readouterr().err


TOLERANCE = """
objectives: {quality: 0.9}
overrides:
  - for: {model: [prices, none right]}
    objectives: {error_tolerance: 2}
  - for: {model: hours}
    objectives: {error_tolerance: 0.5, quality: 0.5}
"""


def regression(name: str, within: dict[str, int]) -> list[dict[str, str]]:
    """Labelled predictions of a regression: how many a step have an error up to each bound."""
    return [
        series("ml_eval_error_bin_total", [0, *[count] * 40], ml_model_name=name, ml_eval_bin=bound)
        for bound, count in within.items()
    ]


def test_a_regression_is_right_within_a_tolerance(tmp_path: Path) -> None:
    """A prediction with a larger error than the tolerance of its model is bad; a regression without a tolerance has no objective."""
    inputs = [
        *regression("prices", {"0.501187": 10, "1.99526": 70, "+Inf": 100}),
        *regression("none right", {"+Inf": 100}),
        *regression("hours", {"0.501187": 25, "1.99526": 70, "+Inf": 100}),
        *regression("without", {"0.501187": 10, "1.99526": 70, "+Inf": 100}),
    ]
    burns = {"prices": 3.0, "none right": 10.0, "hours": 1.5}
    samples = [{"labels": f'{{ml_model_name="{name}"}}', "value": value} for name, value in burns.items()]
    expr = 'round(sum by (ml_model_name) (slo:ml_burn_rate:1h{ml_slo="quality"}), 0.001)'
    test = {"input_series": inputs, "promql_expr_test": [{"eval_time": "120m", "expr": expr, "exp_samples": samples}]}

    assert complaints(tmp_path, rules(tmp_path, TOLERANCE), GROUPS, test) == ""
