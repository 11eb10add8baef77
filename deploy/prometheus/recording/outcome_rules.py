"""Rules about classes: precision, recall and F1 of each against the rest, and of the model."""

from __future__ import annotations

from recording.rule_parts import CLASS, MODEL, OUTCOME, Rule


def labelled(source: str, label: str) -> str:
    """Copies a label of the labelled counts to `ml_eval_class`."""
    return f'label_replace({source}, "ml_eval_class", "$1", "{label}", "(.*)")'


def counts(window: str) -> list[Rule]:
    """How often each class was predicted, true, and both."""
    outcomes, predicted = f"outcome:ml_eval_outcomes:increase{window}", f"class:ml_eval_predicted:increase{window}"
    by_predicted, by_actual = labelled(outcomes, "ml_eval_predicted"), labelled(outcomes, "ml_eval_actual")

    def of_sets(outcome: str) -> str:
        return (
            f'\nor sum by ({CLASS}) (increase(ml_eval_class_outcomes_total{{ml_eval_outcome=~"{outcome}"}}[{window}]))'
        )

    return [
        Rule(outcomes, f"sum by ({OUTCOME}) (increase(ml_eval_outcomes_total[{window}]))"),
        Rule(f"model:ml_eval_outcomes:increase{window}", f"sum by ({MODEL}) ({outcomes})"),
        Rule(
            predicted,
            f"sum by ({CLASS}) ({by_predicted})\nor 0 * sum by ({CLASS}) ({by_actual}){of_sets('tp|fp')}",
            "Of one class, or of a set of classes (multilabel).",
        ),
        Rule(
            f"class:ml_eval_actual:increase{window}",
            f"sum by ({CLASS}) ({by_actual}){of_sets('tp|fn')}\nor 0 * {predicted}",
        ),
        Rule(
            f"class:ml_eval_correct:increase{window}",
            f"sum by ({CLASS}) (\n  {by_predicted}\n  and {by_actual}){of_sets('tp')}\nor 0 * {predicted}",
            "Both sides carry the same labels only where predicted and actual class are the same.",
        ),
        Rule(
            f"class:ml_eval_class_outcomes:increase{window}",
            f"sum by ({CLASS}) (increase(ml_eval_class_outcomes_total[{window}]))",
            "Labelled predictions of a multilabel model.",
        ),
        Rule(
            f"model:ml_eval_class_outcomes:increase{window}",
            f'max by ({MODEL}) (class:ml_eval_class_outcomes:increase{window}{{ml_eval_class!="__other__"}})',
        ),
    ]


def by_class(window: str) -> list[Rule]:
    """Precision, recall and F1 of each class, and their mean over all classes."""
    predicted, actual, correct = (
        f"class:ml_eval_{name}:increase{window}" for name in ("predicted", "actual", "correct")
    )
    precision, recall, f1 = (f"class:ml_eval_{name}:{window}" for name in ("precision", "recall", "f1"))
    why = "An undefined class counts 0 in a macro mean, as in scikit-learn."
    macro = [
        Rule(
            f"model:ml_eval_{name}_macro:{window}",
            f"sum by ({MODEL}) ({each})\n/ count by ({MODEL}) ({predicted} + {actual} > 0)",
            why if name == "precision" else "",
        )
        for name, each in (("precision", precision), ("recall", recall), ("f1", f1))
    ]
    return [
        Rule(
            f"model:ml_eval_accuracy:{window}",
            f"sum by ({MODEL}) ({correct}) / (model:ml_eval_outcomes:increase{window} > 0)\n"
            f'unless on ({MODEL}) {correct}{{ml_eval_class="__other__"}} > 0',
            "Absent if two of the classes that are counted together could be the same, or not.",
        ),
        Rule(precision, f"{correct} / ({predicted} > 0)", "Absent for a class that was never predicted."),
        Rule(recall, f"{correct} / ({actual} > 0)", "Absent for a class without labels."),
        Rule(f1, f"2 * {correct} / ({predicted} + {actual} > 0)"),
        Rule(
            f"class:ml_eval_hamming_loss:{window}",
            f"clamp_min({predicted} + {actual} - 2 * {correct}, 0)\n"
            f"/ (class:ml_eval_class_outcomes:increase{window} > 0)",
            "Share of labelled predictions that have the class wrongly, or wrongly do not (multilabel).",
        ),
        *macro,
    ]


def averaged(window: str) -> list[Rule]:
    """The classes that precision, recall and F1 of the model are of."""
    predicted, actual = f"class:ml_eval_predicted:increase{window}", f"class:ml_eval_actual:increase{window}"
    scored, classes = f"class:ml_eval_positives:increase{window}", f"class:ml_eval_averaged:{window}"
    positive = f"count by ({MODEL}) ({scored}) == 1"
    return [
        Rule(
            classes,
            f"0 * {actual} + 1 and ({scored} and on ({MODEL}) {positive})\n"
            f"or 0 * ({predicted} + {actual} > 0) + 1\n"
            f"  unless on ({MODEL}) ({positive})\n"
            f'  unless on ({MODEL}) ({predicted}{{ml_eval_class="__other__"}} + {actual} > 0)\n'
            f"  unless on ({MODEL}) (count by ({MODEL}) ({actual}) == 2 and model:ml_eval_outcomes:increase{window})",
            "The positive class of a binary model, which is the only one with scores; else all, if none are counted "
            "together. Of two classes without scores it is unknown which one is positive.",
        ),
        Rule(f"model:ml_eval_averaged:{window}", f"count by ({MODEL}) ({classes})"),
    ]


def mean_figure(name: str, window: str) -> str:
    """Precision, recall or F1 of the model; a class for which it is undefined counts 0."""
    return (
        f"sum by ({MODEL}) (class:ml_eval_{name}:{window} and class:ml_eval_averaged:{window}) "
        f"/ model:ml_eval_averaged:{window}"
    )


def mean_error(variance: str, window: str) -> str:
    """Standard error of a mean over classes, from the variance of each class's part.

    The rows of a confusion matrix are independent. The classes of a set are not, and counts do not say how they depend
    on each other: the standard errors are added up, which is the most that it can be.
    """
    part = f"({variance}\n    and class:ml_eval_averaged:{window})"
    return (
        f"(sqrt(sum by ({MODEL}) {part}) and model:ml_eval_outcomes:increase{window}\n"
        f"  or sum by ({MODEL}) (sqrt{part})) / model:ml_eval_averaged:{window}"
    )


def f1_variance(window: str) -> list[Rule]:
    """Variance of F1: of each class, and of the mean over the classes of a confusion matrix, by the delta method.

    With g = F1 / (predicted + actual), one more pair (i, j) changes the sum of F1 by -(g_i + g_j), and a correct one by
    2 / (predicted + actual) more.
    """
    predicted, actual, correct = (
        f"class:ml_eval_{name}:increase{window}" for name in ("predicted", "actual", "correct")
    )
    f1, size = f"class:ml_eval_f1:{window}", f"({predicted} + {actual} > 0)"
    outcomes, slope = f"outcome:ml_eval_outcomes:increase{window}", f"class:ml_eval_f1_slope:{window}"

    def matched(label: str) -> str:
        source = f'label_replace({slope}, "{label}", "$1", "ml_eval_class", "(.*)")'
        return f"on ({MODEL}, {label}) group_left () {source}"

    return [
        Rule(slope, f"{f1} / {size}"),
        Rule(
            f"class:ml_eval_f1_variance:{window}",
            f"({correct} * (2 - 2 * {f1}) ^ 2 + ({predicted} + {actual} - 2 * {correct}) * {f1} ^ 2)\n/ {size} ^ 2",
        ),
        Rule(
            f"model:ml_eval_f1_macro_variance:{window}",
            f"(sum by ({MODEL}) (\n"
            f"  {outcomes}\n"
            f"  * (0 * {outcomes} + {matched('ml_eval_predicted')}\n"
            f"    + {matched('ml_eval_actual')}) ^ 2)\n"
            f"  + sum by ({MODEL}) ({correct} * (4 / {size} ^ 2 - 8 * {slope} / {size})))\n"
            f"/ count by ({MODEL}) {size} ^ 2",
            "The second sum corrects the pairs on the diagonal.",
        ),
    ]


def outcome_rules(window: str) -> list[Rule]:
    """All rules about classes; they read the number of labelled rows by class with scores."""
    return [*counts(window), *by_class(window), *averaged(window), *f1_variance(window)]
