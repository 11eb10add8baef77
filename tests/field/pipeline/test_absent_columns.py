"""A column, or all of them, can be absent for many reasons. FeatureMissing is silent in the ordinary life of a service.

Source: deepchecks/monitoring#337 (a verdict needs a least number of rows).
"""

from __future__ import annotations

from pathlib import Path

import promtool

ALERTS = {"model": "otel-ml-model"}
RULES = {"limits": "otel-ml-limits", "quality": "otel-ml-quality"} | promtool.FEATURE_RULES
HOURS = 2


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    pairs = ", ".join(f'{key}="{text}"' for key, text in labels.items())
    return {"series": f"{name}{{{pairs}}}", "values": values}


def process(
    instance: str,
    rows: str,
    absent: str = "0",
    *,
    version: str = "1",
    start: int = 0,
    end: int = 60 * HOURS,
    columns: str = "income",
    profile: str = "p",
) -> list[dict[str, str]]:
    """What a process exports of its model: so many rows a minute, and so many of them without their columns."""
    before, minutes = f"_x{start} " if start else "", end - start
    model = {"instance": instance, "ml_model_name": "fraud", "ml_model_version": version, "ml_model_role": "primary"}
    found = [series("ml_predictions_total", f"{before}0+{rows}x{minutes}", **model)]
    for column in columns.split():
        feature = {**model, "ml_feature_name": column}
        of_profile = {**feature, "ml_profile_id": profile}
        known = int(rows) - int(absent)
        found += [
            series("ml_feature_reference_size", f"{before}5000x{minutes}", **of_profile),
            series(
                "ml_feature_expected_share_ratio", f"{before}0.01x{minutes}", **of_profile, ml_feature_finding="missing"
            ),
            series("ml_feature_missing_total", f"{before}0+{absent}x{minutes}", **feature),
            series(
                "ml_data_violations_total", f"{before}0+{absent}x{minutes}", **feature, ml_rule_name="missing_column"
            ),
        ]
        for bin_ in ("0", "1"):
            found += [
                series("ml_feature_reference_share_ratio", f"{before}0.5x{minutes}", **of_profile, ml_feature_bin=bin_),
                series(
                    "ml_feature_values_total", f"{before}0+{known // 2}x{minutes}", **of_profile, ml_feature_bin=bin_
                ),
            ]
    return found  # fmt: skip


def still(inputs: list[dict[str, str]], at: int, minutes: int) -> list[dict[str, str]]:
    """The same, but no row comes after a minute."""

    def stopped(values: str) -> str:
        step, plus, rest = values.partition("+")
        if not plus:
            return values
        each = int(rest.split("x")[0])
        return f"0+{each}x{at} {each * at}x{minutes}"

    return [{**each, "values": stopped(each["values"])} for each in inputs]


ORDINARY = {
    "a rollout to a version without the column": [
        *process("a", "50", end=60, columns="age income"), *process("b", "50", start=58, version="2", columns="age", profile="q"),
    ],
    "another profile of the same version without the column": [
        *process("a", "50", end=60, columns="age income"), *process("b", "50", start=60, columns="age", profile="q"),
    ],
    "a restart": [*process("a", "50", end=60), *process("b", "50", start=63)],
    "a quiet night": still(process("a", "50"), 60, 60),
    "no call at all": process("a", "0"),
    "one call without the column at a deploy, then none": still(process("a", "1", "1"), 1, 119),
    "two calls without the column among many": [*process("a", "50"), *still(process("c", "1", "1"), 2, 118)],
    "a job": process("a", "5000", end=3),
    "one in a hundred rows": process("a", "1000", "10"),
}  # fmt: skip


def test_absent_columns_are_silent_in_the_ordinary_life(tmp_path: Path) -> None:
    """No life of a service that has its columns alerts at any time."""
    inputs = [
        {**each, "series": each["series"].replace("{", f'{{job="{life}", ', 1)}
        for life, inputs in ORDINARY.items() for each in inputs
    ]  # fmt: skip
    cases = [
        {
            "eval_time": f"{minute}m",
            "expr": 'count by (job) (ALERTS{alertname="FeatureMissing", alertstate="firing"})',
            "exp_samples": [],
        }
        for minute in range(5, 60 * HOURS, 5)
    ]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": cases}
    assert promtool.run(tmp_path, [test], RULES, alerts=ALERTS, interval="1m") == ""
