"""Writes the recording rules: the same formulas for each window, all grouped by service, environment and model.

    python deploy/prometheus/build_rules.py           writes rules/*.yaml
    python deploy/prometheus/build_rules.py --check   exits with 1 if a file differs from what would be written

Every rule adds up the counts of all replicas first and applies the nonlinear function once, to the sums: a mean of
per-replica PSI, AUC or F1 would be wrong. An undefined quantity (a ratio without a denominator) is absent.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

RULES = Path(__file__).resolve().parent / "rules"

MODEL = "job, deployment_environment_name, ml_model_name, ml_model_version, ml_model_role"
FEATURE = f"{MODEL}, ml_profile_id, ml_feature_name"
BIN = f"{FEATURE}, ml_feature_bin"
OUTCOME = f"{MODEL}, ml_eval_predicted, ml_eval_actual"
CLASS = f"{MODEL}, class"
SCORE_BIN = f"{MODEL}, tens, ml_eval_bin"

FAST, SLOW = "1h", "24h"
SLOW_INTERVAL = "30s"
"""A day has many samples: the slow windows are evaluated less often than the global interval."""


@dataclass(frozen=True)
class Rule:
    """One recording rule and the reason for its form."""

    record: str
    expr: str
    why: str = ""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated in this order, so that a later rule sees the results of the earlier ones."""

    name: str
    rules: list[Rule]
    interval: str = ""


@dataclass(frozen=True)
class RuleFile:
    """One file of the `rules` folder."""

    name: str
    about: str
    groups: list[Group] = field(default_factory=list)


def operation() -> Group:
    """Traffic, errors and latency over 5 minutes: at least four exports at the SDK's default interval of 60 s."""
    quantiles = [
        Rule(
            f"model:ml_prediction_duration_seconds:p{percent}_5m",
            f"histogram_quantile({percent / 100:g},\n"
            f"  sum by (le, {MODEL}) (rate(ml_prediction_duration_seconds_bucket[5m])))",
        )
        for percent in (50, 95, 99)
    ]
    calls = "model:ml_prediction_calls:rate5m"
    timed = f"sum by ({MODEL}) (rate(ml_prediction_duration_seconds_count[5m]))"
    untimed = f"sum by ({MODEL}) (rate(ml_prediction_untimed_total[5m]))"
    return Group(
        "otel-ml-operation",
        [
            Rule("model:ml_predictions:rate5m", f"sum by ({MODEL}) (rate(ml_predictions_total[5m]))", "Rows a second."),
            Rule(
                calls,
                f"{timed} + {untimed}\nor {timed}\nor {untimed}",
                "Finished calls a second, also failed and untimed ones: the denominator of the error ratio.",
            ),
            Rule(
                "model:ml_prediction_errors:rate5m",
                f'sum by ({MODEL}) (rate(ml_prediction_errors_total{{error_type!="cancelled"}}[5m]))\nor 0 * {calls}',
                "0, not empty, without errors; a cancelled call is no error.",
            ),
            Rule("model:ml_prediction_errors:ratio5m", f"model:ml_prediction_errors:rate5m / ({calls} > 0)"),
            *quantiles,
            Rule(
                "serving:ml_prediction_calls:rate5m",
                f'sum by (job, deployment_environment_name, ml_model_name) (\n  {calls}{{ml_model_role!="shadow"}})',
                "All versions and roles that serve callers: a new version that replaces an old one is no outage.",
            ),
        ],
    )


def score() -> Group:
    """The score's distribution in the last hour against the last day, for models without a training reference."""

    def cdf(window: str) -> Rule:
        return Rule(
            f"le:ml_prediction_score:cdf{window}",
            f"sum by (le, {MODEL}) (increase(ml_prediction_score_bucket[{window}]))\n"
            f"/ on ({MODEL}) group_left ()\n"
            f"(sum by ({MODEL}) (increase(ml_prediction_score_count[{window}])) > 0)",
        )

    def count(window: str) -> Rule:
        return Rule(
            f"model:ml_prediction_score:increase{window}",
            f"sum by ({MODEL}) (increase(ml_prediction_score_count[{window}]))",
        )

    return Group(
        "otel-ml-score",
        [
            cdf(FAST),
            cdf(SLOW),
            count(FAST),
            count(SLOW),
            Rule(
                "model:ml_prediction_score:ks1h",
                f"max by ({MODEL}) (abs(le:ml_prediction_score:cdf1h - le:ml_prediction_score:cdf24h))",
                "Kolmogorov-Smirnov distance on the histogram's bins. The day contains the hour, so a new model starts "
                "at 0.",
            ),
            Rule(
                "model:ml_prediction_score:ks_noise1h",
                "1.95 * sqrt(\n"
                "  1 / model:ml_prediction_score:increase1h\n"
                "  + 1 / model:ml_prediction_score:increase24h)",
                "The distance that 1 of 1000 windows exceeds by chance, without any change.",
            ),
        ],
    )


def quality() -> Group:
    """Missing values and violations of the input schema."""
    predictions = "model:ml_predictions:increase1h"
    missing = f"sum by ({MODEL}, ml_feature_name) (increase(ml_feature_missing_total[1h]))"
    return Group(
        "otel-ml-quality",
        [
            Rule(predictions, f"sum by ({MODEL}) (increase(ml_predictions_total[1h]))"),
            Rule(
                "feature:ml_feature_missing:ratio1h",
                f"{missing}\n"
                "/ (\n"
                f"  {missing}\n"
                f"  + sum by ({MODEL}, ml_feature_name) (increase(ml_feature_values_total[1h]))\n"
                "  > 0)",
                "Share of expected values that are missing.",
            ),
            Rule(
                "model:ml_data_invalid_predictions:ratio1h",
                f"(sum by ({MODEL}) (increase(ml_data_invalid_predictions_total[1h])) or 0 * {predictions})\n"
                f"/ ({predictions} > 0)",
                "Rows with at least one violation.",
            ),
            Rule(
                "model:ml_data_violations:ratio1h",
                f"(sum by ({MODEL}) (increase(ml_data_violations_total[1h])) or 0 * {predictions})\n"
                f"/ ({predictions} > 0)",
                "Violations a row; more than 1 is possible.",
            ),
        ],
    )


SHARE, BINS, SIZE = (
    "bin:ml_feature_reference_share:max",
    "feature:ml_feature_bins:count",
    "feature:ml_feature_reference_size:max",
)


def reference() -> list[Rule]:
    """The training reference, once for all windows."""
    return [
        Rule(SHARE, f"max by ({BIN}) (ml_feature_reference_share_ratio)", "Every process exports the same reference."),
        Rule(BINS, f"count by ({FEATURE}) ({SHARE})"),
        Rule(SIZE, f"max by ({FEATURE}) (ml_feature_reference_size)"),
    ]


def shares(window: str) -> list[Rule]:
    """Share of each bin in the window."""
    counts, count = f"bin:ml_feature_values:increase{window}", f"feature:ml_feature_values:increase{window}"
    return [
        Rule(
            counts,
            f"sum by ({BIN}) (increase(ml_feature_values_total[{window}]))\nor 0 * {SHARE}",
            "A bin that was never reported counts 0.",
        ),
        Rule(count, f"sum by ({FEATURE}) ({counts})"),
        Rule(
            f"bin:ml_feature_share:smoothed{window}",
            f"({counts} + {SHARE} * on ({FEATURE}) group_left () {BINS})\n"
            f"/ on ({FEATURE}) group_left () ({count} + {BINS})",
            "(c + k q) / (N + k): smoothed towards the reference, so that an empty bin neither divides by 0 nor "
            "inflates the score.",
        ),
    ]


def distances(window: str) -> list[Rule]:
    """Distance of the window from the reference, and the distance that chance gives."""
    p, q, freedom = f"bin:ml_feature_share:smoothed{window}", SHARE, f"({BINS} - 1)"
    return [
        Rule(f"feature:ml_feature_psi:{window}", f"sum by ({FEATURE}) (\n  ({p} - {q}) * ln({p} / {q}))"),
        Rule(
            f"feature:ml_feature_psi_noise:{window}",
            f"{freedom}\n"
            f"* (1 - 2 / (9 * {freedom}) + 3.09 * sqrt(2 / (9 * {freedom}))) ^ 3\n"
            f"* (1 / feature:ml_feature_values:increase{window} + 1 / {SIZE})",
            "99.9 % quantile of PSI without any drift: chi-square by Wilson and Hilferty, z = 3.09.",
        ),
        Rule(
            f"feature:ml_feature_jsd:{window}",
            f"sqrt(clamp_min(0.5 * sum by ({FEATURE}) (\n"
            f"  {p} * log2(2 * {p} / ({p} + {q}))\n"
            f"  + {q} * log2(2 * {q} / ({p} + {q}))), 0))",
            "Jensen-Shannon distance, base 2, between 0 and 1.",
        ),
    ]


def drift(window: str, interval: str = "") -> Group:
    """PSI of each feature against the training reference, with its noise level."""
    first = reference() if window == FAST else []
    return Group(f"otel-ml-drift-{window}", [*first, *shares(window), *distances(window)], interval)


def labelled(source: str, label: str) -> str:
    """Copies a label of the labelled counts to `class`."""
    return f'label_replace({source}, "class", "$1", "{label}", "(.*)")'


def confusion(window: str) -> list[Rule]:
    """Accuracy, and precision, recall and F1 of each class against the rest."""
    outcomes = f"outcome:ml_eval_outcomes:increase{window}"
    total = f"model:ml_eval_outcomes:increase{window}"
    predicted = f"class:ml_eval_predicted:increase{window}"
    actual = f"class:ml_eval_actual:increase{window}"
    correct = f"class:ml_eval_correct:increase{window}"
    by_predicted, by_actual = labelled(outcomes, "ml_eval_predicted"), labelled(outcomes, "ml_eval_actual")
    precision, recall, f1 = (f"class:ml_eval_{name}:{window}" for name in ("precision", "recall", "f1"))
    macro = [
        Rule(
            f"model:ml_eval_{name}_macro:{window}",
            f"sum by ({MODEL}) ({each})\n/ count by ({MODEL}) ({predicted} + {actual} > 0)",
            why,
        )
        for name, each, why in (
            ("precision", precision, "An undefined class counts 0 in a macro mean, as in scikit-learn."),
            ("recall", recall, ""),
            ("f1", f1, ""),
        )
    ]
    return [
        Rule(outcomes, f"sum by ({OUTCOME}) (increase(ml_eval_outcomes_total[{window}]))"),
        Rule(total, f"sum by ({MODEL}) ({outcomes})"),
        Rule(
            predicted,
            f"sum by ({CLASS}) ({by_predicted})\nor 0 * sum by ({CLASS}) ({by_actual})",
        ),
        Rule(actual, f"sum by ({CLASS}) ({by_actual})\nor 0 * {predicted}"),
        Rule(
            correct,
            f"sum by ({CLASS}) (\n  {by_predicted}\n  and {by_actual})\nor 0 * {predicted}",
            "Both sides carry the same labels only where predicted and actual class are the same.",
        ),
        Rule(f"model:ml_eval_accuracy:{window}", f"sum by ({MODEL}) ({correct}) / ({total} > 0)"),
        Rule(precision, f"{correct} / ({predicted} > 0)", "Absent for a class that was never predicted."),
        Rule(recall, f"{correct} / ({actual} > 0)", "Absent for a class without labels."),
        Rule(f1, f"2 * {correct} / ({predicted} + {actual} > 0)"),
        *macro,
    ]


def rank_terms(positives: str, everyone: str) -> list[str]:
    """The parts of the sum over bins j of pos_j * (all_<j + all_j / 2); a part without rows is absent.

    PromQL cannot sum over lower bins, but the bins have two digits, so
    all_<j = all with a lower first digit + all with the same first and a lower second digit.
    """
    same = f'label_replace(0.5 * {positives} * on ({SCORE_BIN}) group_left () {everyone}, "term", "same", "", "")'
    tens = [
        f'label_replace(sum by ({CLASS}) ({positives}{{tens="{digit}"}})\n'
        f'    * on ({MODEL}) group_left () sum by ({MODEL}) ({everyone}{{tens=~"[0-{digit - 1}]"}}),\n'
        f'    "term", "tens{digit}", "", "")'
        for digit in range(1, 5)
    ]
    ones = [
        f'label_replace(sum by ({CLASS}, tens) ({positives}{{ml_eval_bin=~".{digit}"}})\n'
        f"    * on ({MODEL}, tens) group_left () "
        f'sum by ({MODEL}, tens) ({everyone}{{ml_eval_bin=~".[0-{digit - 1}]"}}),\n'
        f'    "term", "ones{digit}", "", "")'
        for digit in range(1, 10)
    ]
    return [same, *tens, *ones]


def score_bins(window: str) -> list[Rule]:
    """Labelled rows by score bin: of each class, and of all."""
    positives = f"bin:ml_eval_positives:increase{window}"
    positive = f"class:ml_eval_positives:increase{window}"
    return [
        Rule(
            positives,
            f"sum by ({SCORE_BIN}, class) (label_replace(label_replace(\n"
            f"  increase(ml_eval_score_bin_total[{window}]),\n"
            f'  "class", "$1", "ml_eval_actual", "(.*)"),\n'
            f'  "tens", "$1", "ml_eval_bin", "(.)."))',
            "`tens` is the first digit of the bin.",
        ),
        Rule(f"bin:ml_eval_labelled:increase{window}", f"sum by ({SCORE_BIN}) ({positives})"),
        Rule(positive, f"sum by ({CLASS}) ({positives})"),
        Rule(
            f"class:ml_eval_negatives:increase{window}",
            f"-({positive} - on ({MODEL}) group_left () sum by ({MODEL}) ({positive}))",
        ),
    ]


def ranking(window: str) -> list[Rule]:
    """AUC of each class against the rest, in the rank form of the Mann-Whitney statistic.

    AUC = (sum over bins j of pos_j * (all_<j + all_j / 2) - P^2 / 2) / (P * N), with P positives and N negatives.
    """
    positives, everyone = f"bin:ml_eval_positives:increase{window}", f"bin:ml_eval_labelled:increase{window}"
    ranks = f"class:ml_eval_rank_sum:increase{window}"
    positive = f"class:ml_eval_positives:increase{window}"
    pairs = f"({positive} * class:ml_eval_negatives:increase{window} > 0)"
    return [
        *score_bins(window),
        Rule(
            ranks,
            f"sum by ({CLASS}) (\n  " + "\n  or ".join(rank_terms(positives, everyone)) + ")",
            "For each positive: the rows below it, and half of the rows in its bin; summed.",
        ),
        Rule(
            f"class:ml_eval_auc:{window}",
            f"({ranks} - {positive} ^ 2 / 2) / {pairs}",
            "For the class whose probability the score is; of two classes the other has 1 - AUC.",
        ),
        Rule(
            f"class:ml_eval_auc_bound:{window}",
            f"0.5 * sum by ({CLASS}) (\n"
            f"  {positives} * on ({SCORE_BIN}) group_left () {everyone} - {positives} ^ 2)\n"
            f"/ {pairs}",
            "The binned AUC is at most this far from the exact one.",
        ),
    ]


def labels(window: str) -> list[Rule]:
    """Number of labels received, and their delay."""
    return [
        Rule(
            f"model:ml_eval_labels:coverage{window}",
            f'(sum by ({MODEL}) (increase(ml_eval_labels_total{{ml_eval_label_state="matched"}}[{window}]))\n'
            f"  or 0 * sum by ({MODEL}) (increase(ml_predictions_total[{window}])))\n"
            f"/ (sum by ({MODEL}) (increase(ml_predictions_total[{window}])) > 0)",
            "Labels received per predicted row; above 1 while a backlog of older labels arrives.",
        ),
        Rule(
            f"model:ml_eval_label_lag_seconds:p50_{window}",
            f"histogram_quantile(0.5, sum by (le, {MODEL}) (rate(ml_eval_label_lag_seconds_bucket[{window}])))",
        ),
    ]


def performance(window: str, interval: str = "") -> Group:
    """Performance from labels, by arrival time."""
    return Group(f"otel-ml-performance-{window}", [*confusion(window), *ranking(window), *labels(window)], interval)


def rule_files() -> list[RuleFile]:
    return [
        RuleFile("operation", "Traffic, errors, latency and liveness of each model.", [operation()]),
        RuleFile("score", "The score's distribution: the last hour against the last day.", [score()]),
        RuleFile("quality", "Missing values and violations of the input schema.", [quality()]),
        RuleFile("drift_1h", "Distance of each feature from the training reference, 1 hour.", [drift(FAST)]),
        RuleFile("drift_24h", "The same over 24 hours, for models with little traffic.", [drift(SLOW, SLOW_INTERVAL)]),
        RuleFile("performance_1h", "Accuracy, precision, recall, F1 and AUC from labels, 1 hour.", [performance(FAST)]),
        RuleFile("performance_24h", "The same over 24 hours.", [performance(SLOW, SLOW_INTERVAL)]),
    ]


def text(file: RuleFile) -> str:
    """The file as YAML."""
    lines = [f"# {file.about} Written by build_rules.py: change it there.", "groups:"]
    for group in file.groups:
        lines.append(f"  - name: {group.name}")
        if group.interval:
            lines.append(f"    interval: {group.interval}")
        lines.append("    rules:")
        for rule in group.rules:
            if rule.why:
                lines.append(f"      # {rule.why}")
            lines.append(f"      - record: {rule.record}")
            lines.append("        expr: |")
            lines += [f"          {line}" for line in rule.expr.splitlines()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    options = parser.parse_args(arguments)
    stale = []
    for file in rule_files():
        path = RULES / f"{file.name}.yaml"
        if not options.check:
            path.write_text(text(file), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text(file):
            stale.append(path.name)
    for name in stale:
        print(f"build_rules: rules/{name} is not what build_rules.py writes: run it", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
