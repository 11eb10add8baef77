"""Recording rules and alerts, checked by the real promtool and against numbers computed with numpy and scikit-learn."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

import numpy as np
import promtool
import pytest
import yaml
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

PROMETHEUS = promtool.PROMETHEUS
TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))
MINUTES = {"1h": 60, "24h": 65}
"""Minutes counted in each window at minute 65; the counters start at 0 in minute 0."""


def test_rules_are_valid():
    """Prometheus's own parser and linter accept every rule file."""
    files = sorted(map(str, [*(PROMETHEUS / "rules").glob("*.yaml"), *(PROMETHEUS / "alerts").glob("*.yaml")]))

    done = subprocess.run(
        [promtool.binary(), "check", "rules", "--lint=all", "--lint-fatal", *files], capture_output=True
    )

    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_rule_unit_tests_pass(file):
    """Each alert fires and stays silent as its test expects, and each formula gives the expected number."""
    done = subprocess.run([promtool.binary(), "test", "rules", "--diff", str(file)], capture_output=True)

    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_rules_are_what_the_generator_writes():
    """Rule files are what the generator writes."""
    done = subprocess.run([sys.executable, str(PROMETHEUS / "build_rules.py"), "--check"], capture_output=True)

    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_every_alert_has_a_firing_and_a_silent_case():
    """Every alert has a case in which it fires and one in which it must not; only the Watchdog is never silent."""
    alerts = {
        rule["alert"]
        for file in (PROMETHEUS / "alerts").glob("*.yaml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    }
    cases = defaultdict(set)
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                cases[case["alertname"]].add("fires" if case.get("exp_alerts") else "is silent")

    assert dict(cases) == {alert: {"fires", "is silent"} for alert in alerts} | {"Watchdog": {"fires"}}


def read_series(test):
    """Yields name, labels and step (counter) or value (gauge) of each input series."""
    for entry in test["input_series"]:
        name, labels = re.fullmatch(r"(\w+)\{(.*)\}", entry["series"]).groups()
        number = re.fullmatch(r"(?:0\+)?([\d.]+)x\d+", entry["values"])[1]
        yield name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(number)


def expected_of(test):
    """Returns the expected numbers of the rule test, by series and window and by the label that distinguishes them."""
    found = {}
    for case in test["promql_expr_test"]:
        series = re.fullmatch(r"round\(1e6 \* (\S+)\)", case["expr"])[1]
        for sample in case["exp_samples"]:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
            found[series, labels.get("ml_feature_name") or labels.get("ml_eval_class", "")] = sample["value"]
    return found


def rule_test(name):
    (test,) = (test for file in TESTS for test in yaml.safe_load(file.read_text())["tests"] if test.get("name") == name)
    return test


def millionths(numbers):
    return {key: round(float(value) * 1e6) for key, value in numbers.items()}


def drift_numbers(test):
    """Computes PSI, its noise level and the Jensen-Shannon distance with numpy."""
    share, size, step = defaultdict(dict), {}, defaultdict(lambda: defaultdict(float))
    for name, labels, number in read_series(test):
        feature, bin_ = labels["ml_feature_name"], labels.get("ml_feature_bin")
        if name == "ml_feature_reference_share_ratio":
            share[feature][bin_] = number
        elif name == "ml_feature_reference_size":
            size[feature] = number
        else:
            step[feature][bin_] += number
    numbers = {}
    for window, minutes in MINUTES.items():
        for feature, shares in share.items():
            q = np.array(list(shares.values()))
            counts = np.array([step[feature][bin_] * minutes for bin_ in shares])
            k, n = len(q), counts.sum()
            p = (counts + k * q) / (n + k)
            middle = (p + q) / 2
            divergence = (np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2
            empty = np.maximum(np.log((n + k) / k), 1)
            mean = k - 1 + (empty - 1) * np.sum(n * q * np.exp(-n * q))
            variance = 2 * (k - 1) + (empty**2 - 1) * np.sum((n * q) ** 2 * np.exp(-n * q))
            spread = variance / (9 * mean**2)
            quantile = mean * (1 - spread + 3.09 * np.sqrt(spread)) ** 3
            numbers[f"feature:ml_feature_psi:{window}", feature] = np.sum((p - q) * np.log(p / q))
            numbers[f"feature:ml_feature_psi_noise:{window}", feature] = quantile * (1 / n + 1 / size[feature])
            numbers[f"feature:ml_feature_jsd:{window}", feature] = np.sqrt(divergence)
    return numbers


def outcome_numbers(test):
    """Computes accuracy, precision, recall and F1 with scikit-learn from the single predictions behind the counts."""
    numbers = {}
    for window, minutes in MINUTES.items():
        predicted, actual = [], []
        for _, labels, step in read_series(test):
            predicted += [labels["ml_eval_predicted"]] * int(step * minutes)
            actual += [labels["ml_eval_actual"]] * int(step * minutes)
        classes = sorted({*predicted, *actual})
        by_class = precision_recall_fscore_support(actual, predicted, labels=classes, zero_division=0)
        numbers[f"model:ml_eval_accuracy:{window}", ""] = accuracy_score(actual, predicted)
        for name, values in zip(("precision", "recall", "f1"), by_class, strict=False):
            numbers[f"model:ml_eval_{name}_macro:{window}", ""] = np.mean(values)
            for class_, value in zip(classes, values, strict=True):
                if name != "precision" or class_ in predicted:
                    numbers[f"class:ml_eval_{name}:{window}", class_] = value
    return numbers


@pytest.mark.parametrize(("name", "compute"), [("drift", drift_numbers), ("outcomes", outcome_numbers)])
def test_expected_numbers_are_independent(name, compute):
    """The expected numbers of the rules come from an independent implementation."""
    test = rule_test(name)

    assert expected_of(test) == millionths(compute(test))


def test_wilson_hilferty_is_close_to_chi_square():
    """The quantile of the noise level, without empty bins, is within 2 % of the exact one for 4 to 20 bins."""
    from scipy.stats import chi2

    ratios = [k * (1 - 2 / (9 * k) + 3.09 * np.sqrt(2 / (9 * k))) ** 3 / chi2.ppf(0.999, k) for k in range(3, 20)]

    assert [ratio for ratio in ratios if not 0.98 < ratio < 1.02] == []
