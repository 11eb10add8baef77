"""Writes the recording rules: the same formulas for each window, all grouped by service, environment and model.

    python deploy/prometheus/build_rules.py           writes rules/*.yaml
    python deploy/prometheus/build_rules.py --check   exits with 1 if a file differs from what would be written

Every rule adds up the counts of all replicas first and applies the nonlinear function once, to the sums: a mean of
per-replica PSI, AUC or F1 would be wrong. An undefined quantity (a ratio without a denominator) is absent.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from feature_rules import current, drift
from rule_parts import CLASS, FAST, MODEL, OUTCOME, SCORE_BIN, SLOW, SLOW_INTERVAL, Group, Rule, RuleFile, text

RULES = Path(__file__).resolve().parent / "rules"


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
    """Violations of the input schema."""
    predictions = "model:ml_predictions:increase1h"
    return Group(
        "otel-ml-quality",
        [
            Rule(predictions, f"sum by ({MODEL}) (increase(ml_predictions_total[1h]))"),
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
        RuleFile("quality", "Violations of the input schema.", [quality()]),
        RuleFile("drift_1h", "Each feature against the training reference, 1 hour.", [drift(FAST)]),
        RuleFile("drift_24h", "The same over 24 hours, for models with little traffic.", [drift(SLOW, SLOW_INTERVAL)]),
        RuleFile("verdict", "The verdict on each feature that the alerts read.", [current()]),
        RuleFile("performance_1h", "Accuracy, precision, recall, F1 and AUC from labels, 1 hour.", [performance(FAST)]),
        RuleFile("performance_24h", "The same over 24 hours.", [performance(SLOW, SLOW_INTERVAL)]),
    ]


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
