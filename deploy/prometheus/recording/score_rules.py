"""Rules about scores: AUC, average precision and calibration of each class, from 50 bins."""

from __future__ import annotations

from recording.rule_parts import CLASS, MODEL, Rule

PARTS = ("positives", "negatives", "positives_above", "negatives_above")
BIN = f"{CLASS}, tens, ones"
"""A score bin by the digits of its number."""
CALIBRATION_BIN = f"{CLASS}, calibration_bin"
"""A tenth of the scores by the number of the first of its five score bins: ``00`` is 0 to 0.1."""


def digits(source: str) -> str:
    """Splits the number of the bin into its digits."""
    tens = f'label_replace({source}, "tens", "$1", "ml_eval_bin", "(.).")'
    return f'label_replace({tens}, "ones", "$1", "ml_eval_bin", ".(.)")'


def tenths(source: str) -> str:
    """Labels score bins with the tenth that they are part of."""
    lower = f'label_replace({source}, "calibration_bin", "${{1}}0", "ml_eval_bin", "(.)[0-4]")'
    return f'label_replace({lower}, "calibration_bin", "${{1}}5", "ml_eval_bin", "(.)[5-9]")'


def above(counted: str) -> str:
    """Rows in higher bins, for each bin.

    PromQL cannot sum over higher bins, but their numbers have two digits: higher are those with the same first and a
    higher second digit, and those with a higher first digit.
    """
    ones = [
        f'label_replace(sum by ({CLASS}, tens) ({counted}{{ones=~"[{digit + 1}-9]"}}), "ones", "{digit}", "", "")'
        for digit in range(9)
    ]
    tens = [
        f'label_replace(sum by ({CLASS}) ({counted}{{tens=~"[{digit + 1}-4]"}}), "tens", "{digit}", "", "")'
        for digit in range(4)
    ]
    same_tens = "\n  or ".join([*ones, f"0 * {counted}"])
    higher_tens = "\n  or ".join([*tens, f"0 * sum by ({CLASS}, tens) ({counted})"])
    return f"({same_tens})\n+ on ({CLASS}, tens) group_left ()\n({higher_tens})"


def counts(window: str) -> list[Rule]:
    """Labelled rows by score bin: of the class, of all others, and of either in higher bins."""
    rules = []
    for name, is_actual in (("positives", "true"), ("negatives", "false")):
        source = f'increase(ml_eval_score_bin_total{{ml_eval_is_actual="{is_actual}"}}[{window}])'
        counted = f"bin:ml_eval_{name}:increase{window}"
        rules += [
            Rule(counted, f"sum by ({BIN}) ({digits(source)})"),
            Rule(
                f"bin:ml_eval_{name}_above:increase{window}",
                above(counted),
                "Those with the same first digit, then those with a higher one.",
            ),
            Rule(f"class:ml_eval_{name}:increase{window}", f"sum by ({CLASS}) ({counted})"),
        ]
    return rules


def auc(window: str, family: str = "ml_eval") -> list[Rule]:
    """AUC of each class against the rest, as the scores rounded to bins have it, with its standard error (DeLong)."""
    pos, neg, pos_above, neg_above = (f"bin:{family}_{name}:increase{window}" for name in PARTS)
    p, n = f"class:{family}_positives:increase{window}", f"class:{family}_negatives:increase{window}"
    area, pairs = f"class:{family}_auc:{window}", f"({p} * {n} > 0)"

    def spread(rows: str, beaten: str, own: str, other: str, mean: str) -> str:
        squares = f"sum by ({CLASS}) ({rows} * ({beaten}) ^ 2) / {other} ^ 2"
        return f"({squares} - {own} * {mean} ^ 2) / ({own} * ({own} - 1) > 0)"

    return [
        Rule(
            area,
            f"1 - sum by ({CLASS}) ({pos} * ({neg_above} + {neg} / 2)) / {pairs}",
            "For the class whose probability the score is. Pairs in one bin count half.",
        ),
        Rule(
            f"class:{family}_auc_bound:{window}",
            f"0.5 * sum by ({CLASS}) ({pos} * {neg}) / {pairs}",
            "The binned AUC is at most this far from the exact one.",
        ),
        Rule(
            f"class:{family}_auc_error:{window}",
            f"sqrt(clamp_min(\n"
            f"  {spread(pos, f'{neg_above} + {neg} / 2', p, n, f'(1 - {area})')}\n"
            f"  + {spread(neg, f'{pos_above} + {pos} / 2', n, p, area)}, 0))",
            "Standard error by DeLong (1988); absent with fewer than two of either kind.",
        ),
    ]


def average_precision(window: str) -> list[Rule]:
    """Average precision of the scores rounded to bins, and the least and the most that the exact one can be."""
    pos, neg, pos_above, neg_above = (f"bin:ml_eval_{name}:increase{window}" for name in PARTS)
    all_positives = f"(class:ml_eval_positives:increase{window} > 0)"
    others, everyone = f"({neg_above} + {neg})", f"({pos_above} + {neg_above} + {neg} + 0.5)"

    def mean(part: str) -> str:
        return f"sum by ({CLASS}) ({part})\n/ {all_positives}"

    return [
        Rule(
            f"class:ml_eval_average_precision:{window}",
            mean(f"{pos} * ({pos_above} + {pos}) / ({pos_above} + {pos} + {neg_above} + {neg} > 0)"),
            "Absent without positives.",
        ),
        Rule(
            f"class:ml_eval_average_precision_least:{window}",
            mean(f"{pos} - {others} * ln(1 + {pos} / {everyone})"),
            "In each bin the negatives first; a sum of 1 / k is below the logarithm.",
        ),
        Rule(
            f"class:ml_eval_average_precision_most:{window}",
            mean(f"{pos} * ({pos_above} + {pos}) / ({pos_above} + {pos} + {neg_above} > 0)"),
            "In each bin the positives first.",
        ),
    ]


def calibration(window: str) -> list[Rule]:
    """Mean score and share of positives by tenth of the score, and the calibration error of each class."""
    rows, actual, scores = (
        f"calibration_bin:ml_eval_{name}:increase{window}" for name in ("labelled", "positives", "score_sum")
    )
    size = f"(sum by ({CLASS}) ({rows}) > 0)"
    mean_score = f"calibration_bin:ml_eval_mean_score:{window}"
    variance = f"clamp_min({rows} * {mean_score} * (1 - {mean_score}), 0)"
    counted = f"increase(ml_eval_score_bin_total[{window}])"
    positive = f'increase(ml_eval_score_bin_total{{ml_eval_is_actual="true"}}[{window}])'
    return [
        Rule(rows, f"sum by ({CALIBRATION_BIN}) ({tenths(counted)})"),
        Rule(actual, f"sum by ({CALIBRATION_BIN}) ({tenths(positive)})"),
        Rule(scores, f"sum by ({CALIBRATION_BIN}) ({tenths(f'increase(ml_eval_score_sum_total[{window}])')})"),
        Rule(f"calibration_bin:ml_eval_positives:share{window}", f"{actual} / ({rows} > 0)"),
        Rule(mean_score, f"{scores} / ({rows} > 0)"),
        Rule(
            f"class:ml_eval_ece:{window}",
            f"sum by ({CLASS}) (abs({actual} - {scores})) / {size}",
            "Expected calibration error over ten bins. With few labels it is above 0 by chance: see its noise.",
        ),
        Rule(
            f"class:ml_eval_ece_noise:{window}",
            f"((2 / pi()) ^ 0.5 * sum by ({CLASS}) (sqrt({variance}))\n"
            f"  + 3.09 * sqrt((1 - 2 / pi()) * sum by ({CLASS}) ({variance}))) / {size}",
            "What 1 of 1,000 windows exceeds if every score is the true probability: the absolute values of ten normal "
            "variables.",
        ),
    ]


def score_rules(window: str) -> list[Rule]:
    """All rules about scores."""
    return [*counts(window), *auc(window), *average_precision(window), *calibration(window)]


def mean_of_classes(name: str, window: str, family: str = "ml_eval") -> str:
    """A figure of the model: that of the positive class, or the mean over the classes."""
    return f"avg by ({MODEL}) (class:{family}_{name}:{window})"
