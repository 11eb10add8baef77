"""Rules about performance before labels: figures from calibrated probabilities, and how wrong they turn out to be.

The formulas are those of `otel_ml/_figures/estimates.py`. A test gives the same counts to both.
"""

from __future__ import annotations

from recording.figure_rules import union
from recording.interval_rules import Z
from recording.reference_rules import LEAST_LABELS, POINTS, REFERENCE, SIZE
from recording.rule_parts import MODEL, Rule, RuleGroup, in_either_window
from recording.score_rules import BIN, above, auc, digits, mean_of_classes

ESTIMATE, LABELLED = "ml_estimate", "ml_eval_estimate"
"""Counts of all predictions, and of those with a label."""
OF_CLASS = f"{MODEL}, ml_prediction_class"
WORSE_Z, WRONG_Z = 3.54, 3.66
"""So that 1 of 1,000 windows exceeds them by chance in any figure: five may fall, four may be off on either side."""
SUMS = ("predictions", "correct", "correct_variance", "missed", "missed_variance")
COVERED = 0.95
"""Share of the labels that must have had an estimate; equal counters that are a minute old are up to 3 % apart."""
WORSE, WRONG = "model:ml_estimate_worse:current", "model:ml_estimate_wrong:current"


def names(family: str, window: str) -> list[str]:
    """The rules with the sums of each class."""
    return [f"class:{family}_{name}:increase{window}" for name in SUMS]


def sums(family: str, window: str) -> list[Rule]:
    """The sums of each class over all replicas; of a binary model only the positive class has missed ones."""
    return [
        Rule(record, f"sum by ({OF_CLASS}) (increase({family}_{name}_total[{window}]))")
        for record, name in zip(names(family, window), SUMS, strict=True)
    ]


def values(family: str, window: str) -> dict[str, str]:
    """Accuracy, and the mean of precision, recall and F1 over the classes that occur."""
    predictions, correct, _, missed, _ = names(family, window)
    return {
        "accuracy": f"sum by ({MODEL}) ({correct}) / (sum by ({MODEL}) ({predictions}) > 0)",
        "precision": mean(family, window, f"{correct} / ({predictions} > 0) and {missed}"),
        "recall": mean(family, window, f"{correct} / ({correct} + {missed} > 0)"),
        "f1": mean(family, window, f"2 * {correct} / ({predictions} + {correct} + {missed} > 0)"),
    }


def errors(family: str, window: str) -> dict[str, str]:
    """The standard errors of the figures that labels will show, by the delta method."""
    predictions, correct, right, missed, wrong = names(family, window)

    def spread(weight: str) -> str:
        return f"sqrt({weight} ^ 2 * {right} + {correct} ^ 2 * {wrong})"

    return {
        "accuracy": f"sqrt(sum by ({MODEL}) ({right})) / (sum by ({MODEL}) ({predictions}) > 0)",
        "precision": mean(family, window, f"sqrt({right}) / ({predictions} > 0) and {missed}"),
        "recall": mean(family, window, f"{spread(missed)} / ({correct} + {missed} > 0) ^ 2"),
        "f1": mean(
            family,
            window,
            f"2 * {spread(f'({predictions} + {missed})')} / ({predictions} + {correct} + {missed} > 0) ^ 2",
        ),
    }


def mean(family: str, window: str, part: str) -> str:
    """The mean of a part over the classes that occur; where it is undefined it counts 0."""
    predictions, _, _, missed, _ = names(family, window)
    return f"sum by ({MODEL}) ({part}) / count by ({MODEL}) ({predictions} + {missed} > 0)"


def error(family: str, window: str, more: dict[str, str]) -> str:
    """All standard errors, and the error that the calibration has because training has a size."""
    total = f"sum by ({MODEL}) (class:{family}_predictions:increase{window})"
    both = union({**errors(family, window), **more})
    return f"({both})\n* on ({MODEL}) group_left () sqrt(1 + {total} / {SIZE})"


def scores(window: str) -> list[Rule]:
    """The AUC of a binary model, from the rows and the expected positives in each bin of the score."""
    rows, positives = (
        f"sum by ({BIN}) ({digits(f'increase(ml_estimate_score_{name}_total[{window}])')})" for name in ("bin", "sum")
    )
    rules = []
    for name, expr in (
        ("positives", positives),
        ("negatives", f"{rows}\n- bin:ml_estimate_positives:increase{window}"),
    ):
        counted = f"bin:ml_estimate_{name}:increase{window}"
        rules += [
            Rule(counted, expr),
            Rule(f"bin:ml_estimate_{name}_above:increase{window}", above(counted)),
            Rule(f"class:ml_estimate_{name}:increase{window}", f"sum by ({MODEL}, ml_eval_class) ({counted})"),
        ]
    return [*rules, *auc(window, ESTIMATE)]


def estimates(window: str) -> list[Rule]:
    """The estimated figures with their 95 % intervals, and whether one is worse than in training."""
    value, spread, decline, low, high = (
        f"model:ml_estimate_figure{name}:{window}" for name in ("", "_error", "_decline", "_low", "_high")
    )
    total = f"sum by ({MODEL}) (class:ml_estimate_predictions:increase{window})"
    return [
        Rule(
            value,
            union({**values(ESTIMATE, window), "auc": mean_of_classes("auc", window, ESTIMATE)}),
            "Estimated without labels: right as long as a score means what it did in training.",
        ),
        Rule(spread, error(ESTIMATE, window, {"auc": mean_of_classes("auc_error", window, ESTIMATE)})),
        Rule(low, f"clamp_min({value} - {Z} * {spread}, 0)"),
        Rule(high, f"clamp_max({value} + {Z} * {spread}, 1)"),
        Rule(decline, f"{REFERENCE} - {value}"),
        Rule(
            f"model:ml_estimate_worse:{window}",
            f"({decline} > bool {POINTS}) * ({decline} > bool {WORSE_Z} * {spread})\n"
            f"* on ({MODEL}) group_left () ({total} >= bool {LEAST_LABELS})",
            "1 if the estimate is below training by the limit, and by more than chance.",
        ),
    ]


def gaps(window: str) -> list[Rule]:
    """Estimated minus realised figure of the same predictions, and how many standard errors that is."""
    value, spread, gap, z = (
        f"model:ml_estimate_{name}:{window}" for name in ("labelled", "labelled_error", "gap", "gap_z")
    )
    realised, labels = f"model:ml_eval_figure:{window}", f"model:ml_eval_figure_labels:{window}"
    total = f"sum by ({MODEL}) (class:ml_eval_estimate_predictions:increase{window})"
    return [
        *sums(LABELLED, window),
        Rule(value, union(values(LABELLED, window)), "What was expected of the predictions that have labels now."),
        Rule(spread, error(LABELLED, window, {})),
        Rule(
            gap,
            f"({value} - {realised})\nand {labels} * {COVERED} <= on ({MODEL}) group_left () {total}",
            "Absent if labelled predictions had no estimate: both sides are about the same ones.",
        ),
        Rule(z, f"{gap} / ({spread} > 0)"),
        Rule(
            f"model:ml_estimate_wrong:{window}",
            f"(abs({gap}) > bool {POINTS}) * (abs({z}) > bool {WRONG_Z}) * ({labels} >= bool {LEAST_LABELS})\n"
            f"unless model:ml_eval_figure_few:{window}",
            "1 if labels contradict the estimate: what a score means has changed.",
        ),
    ]


def estimate(window: str, interval: str = "") -> RuleGroup:
    """Performance before labels; the rules about labels and training come from other groups."""
    rules = [*sums(ESTIMATE, window), *scores(window), *estimates(window), *gaps(window)]
    return RuleGroup(f"otel-ml-estimate-{window}", rules, interval)


def estimate_now() -> RuleGroup:
    """What the alerts read: by the last hour or by the last day."""
    return RuleGroup("otel-ml-estimate", [in_either_window(record) for record in (WORSE, WRONG)])
