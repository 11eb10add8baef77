"""Rules that compare versions of a model: by predictions under the same ids, or else by their labels.

The formulas are those of `otel_ml/_figures/versions.py`, where their sources are.
"""

from __future__ import annotations

from math import log

from recording.rule_parts import MODEL, MODEL_NAME, Rule, RuleGroup

DAYS = 7
WINDOW = f"{DAYS}d"
BASELINE = "ml_pair_version, ml_pair_role"
PAIR = f"{MODEL}, {BASELINE}"
MIXTURE, LEVEL, START = 50, 0.01, 3.6
"""Of the boundary: where it is tightest, what share of equal versions ever leaves it, its height when planning."""
POWER_Z = 1.2815515655446004
"""Standard normal quantile of 0.9, the probability with which a difference is to be found."""
POINTS, ERROR_SHARE = 0.02, 0.1
"""The differences that are looked for: two points of a share, a tenth of the baseline's mean absolute error."""
LEAST, LEAST_OF_KIND = 100, 10
"""Pairs or labels, and right and wrong predictions, below which a large-sample difference is not judged."""
PAIRED_SHARE = 0.5
"""Share of a challenger's labels from which on pairs are compared."""
VERDICT = "model:ml_version_verdict"
OUTCOMES, CLASSES = f"pair:ml_pair_outcomes:increase{WINDOW}", f"pair:ml_pair_predictions:increase{WINDOW}"


def pair(name: str) -> str:
    return f"pair:ml_pair_{name}:{WINDOW}"


def by_day(name: str) -> str:
    return f"model:ml_version_{name}:by_day"


def summed(name: str, matchers: str = "") -> str:
    return f"sum by ({PAIR}) (increase(ml_pair_{name}_total{matchers}[{WINDOW}]))"


def as_baseline(expr: str) -> str:
    """Names the versions of primary models as those of a baseline."""
    version = f'label_replace({expr}, "ml_pair_version", "$1", "ml_model_version", "(.*)")'
    return f'label_replace({version}, "ml_pair_role", "primary", "", "")'


def boundary(information: str) -> str:
    return f"sqrt((1 + {MIXTURE} / {information}) * (ln(1 + {information} / {MIXTURE}) + {round(-2 * log(LEVEL), 12)}))"


def greater(one: str, other: str) -> str:
    return f"({one} >= {other} or {other})"


def pairs() -> list[Rule]:
    """Pairs of predictions under one id."""
    same = " and ".join(
        f'label_replace({CLASSES}, "ml_eval_class", "$1", "ml_pair_{side}", "(.*)")'
        for side in ("baseline", "challenger")
    )
    labels = f"sum by ({MODEL}) ({by_day('challenger_labels')})"
    numbers = summed("predictions", '{ml_pair_baseline=""}')
    return [
        Rule(OUTCOMES, f"sum by ({PAIR}, ml_pair_outcome) (increase(ml_pair_outcomes_total[{WINDOW}]))"),
        Rule(
            CLASSES,
            f"sum by ({PAIR}, ml_pair_baseline, ml_pair_challenger) (\n"
            f'  increase(ml_pair_predictions_total{{ml_pair_baseline!=""}}[{WINDOW}]))',
            "How often the two predicted each pair of classes.",
        ),
        Rule(
            pair("agreement"),
            f"(sum by ({PAIR}) ({same}) or 0 * sum by ({PAIR}) ({CLASSES}))\n/ (sum by ({PAIR}) ({CLASSES}) > 0)",
            "Both sides carry the same labels only where both predicted the same class.",
        ),
        Rule(
            pair("pairs"),
            f"(sum by ({PAIR}) ({OUTCOMES}) > 0\n"
            f"  unless on ({MODEL}) sum by ({MODEL}) ({OUTCOMES}) < {PAIRED_SHARE} * {labels})\n"
            f"or {numbers} > 0",
            "Labelled pairs, unless they are few of the challenger's labels: then its labels are compared.",
        ),
    ]


def days() -> list[Rule]:
    """Labels of canary and shadow models, and of the primary on the same days."""
    labels, accuracy = "model:ml_eval_outcomes:increase24h", "model:ml_eval_accuracy:24h"

    def each(expr: str) -> str:
        offsets = ["", *(f" offset {day}d" for day in range(1, DAYS))]
        return "\nor ".join(
            f'label_replace({expr.replace("@", offset)}, "raw", "{day}", "", "")' for day, offset in enumerate(offsets)
        )

    challenger, primary = '{ml_model_role=~"canary|shadow"}', '{ml_model_role="primary"}'
    beside = f"and on ({MODEL_NAME}, raw) {by_day('challenger_labels')}"
    right = f"{accuracy}%s@ * {labels}@"
    return [
        Rule(
            by_day("challenger_labels"),
            each(f"({labels}{challenger}@ > 0)"),
            "Labels of each of seven days; 7 days at once would be slow with many classes.",
        ),
        Rule(by_day("challenger_right"), each(right % challenger)),
        Rule(by_day("baseline_labels"), f"({each(f'{labels}{primary}@')})\n{beside}"),
        Rule(by_day("baseline_right"), f"({each(right % primary)})\n{beside}"),
    ]


def unpaired() -> list[Rule]:
    """Labels of canary and shadow models without pairs, beside the primary with the most labels."""
    paired = f"sum by ({MODEL}) ({pair('pairs')})"

    totals = {name: f"sum by ({MODEL}) ({by_day(name)})" for name in ("baseline_labels", "baseline_right")}
    most = as_baseline(f"topk by ({MODEL_NAME}) (1, {totals['baseline_labels']})")
    labels = pair("labels")
    matched = f"0 * {labels} + on ({MODEL_NAME}, {BASELINE}) group_left ()"
    return [
        Rule(
            labels,
            f"sum by ({MODEL}) ({by_day('challenger_labels')} and {by_day('challenger_right')})\n"
            f"* on ({MODEL_NAME}) group_left ({BASELINE}) ({most} ^ 0)\n"
            f"unless on ({MODEL}) {paired}",
        ),
        Rule(
            pair("right"), f"0 * {labels} + on ({MODEL}) group_left () sum by ({MODEL}) ({by_day('challenger_right')})"
        ),
        Rule(pair("baseline_labels"), f"{matched} {as_baseline(totals['baseline_labels'])}"),
        Rule(pair("baseline_right"), f"{matched} {as_baseline(totals['baseline_right'])}"),
    ]


def of_classes() -> dict[str, str]:
    """The parts of McNemar's test."""
    gained, lost = (
        f'sum by ({PAIR}) ({OUTCOMES}{{ml_pair_outcome="only_{side}"}})' for side in ("challenger", "baseline")
    )
    size, discordant, rate = pair("pairs"), pair("discordant"), pair("rate")
    return {
        "discordant": f"{gained} + {lost} and {size}",
        "accuracy_difference": f"({gained} - {lost}) / {size}",
        "z": f"({gained} - {lost}) / sqrt({discordant} > 0) or 0 * {discordant}",
        "information": discordant,
        "rate": f"({discordant} + 1) / ({size} + 2)",
        "variance": f"{rate} and {discordant}",
        "looked_for": f"0 * {discordant} + {POINTS}",
        "scale": f"0 * {discordant} + 1",
        "least": f"0 * {discordant}",
    }


def of_errors() -> dict[str, str]:
    """The parts of the comparison of absolute errors."""
    over, under = (summed("error_difference", f'{{ml_eval_direction="{side}"}}') for side in ("over", "under"))
    size, mean = pair("pairs"), pair("error_difference")
    squares = f"clamp_min({summed('error_difference_squares')} / {size} - {mean} ^ 2, 0)"
    return {
        "error_difference": f"({over} - {under}) / {size}",
        "z": f"-{mean} / sqrt({pair('error_variance')} / {size} > 0) or 0 * {mean}",
        "error_variance": f"{squares} * {size} / ({size} - 1 > 0)",
        "information": f"{size} >= {LEAST} and {mean} or 0 * {mean}",
        "rate": f"0 * {mean} + 1",
        "variance": pair("error_variance"),
        "looked_for": f"{ERROR_SHARE} * {summed('absolute_error')} / {size} > 0",
        "scale": f"0 * {mean} + 1",
        "least": f"0 * {mean} + {LEAST}",
    }


def of_labels() -> dict[str, str]:
    """The parts of the comparison of two proportions."""
    m, s, n, r = (pair(name) for name in ("baseline_labels", "baseline_right", "labels", "right"))
    information, smaller = f"({n} * {m} / ({n} + {m}))", f"({n} <= {m} or 0 * {n} + {m})"
    share, smoothed = f"(({r} + {s}) / ({n} + {m}))", f"(({r} + {s} + 1) / ({n} + {m} + 2))"
    difference, variance = pair("accuracy_difference"), f"({share} * (1 - {share}) / {information})"
    least = f"clamp_min({LEAST_OF_KIND} / (0.5 - abs({smoothed} - 0.5)), {LEAST}) * {n} / {smaller}"
    return {
        "accuracy_difference": f"{r} / ({n} > 0) - {s} / ({m} > 0)",
        "z": f"({difference} and {n}) / sqrt({variance} > 0) or 0 * {n}",
        "information": f"{information} and {n} >= {least} or 0 * {n}",
        "rate": f"0 * {n} + 1",
        "variance": f"{smoothed} * (1 - {smoothed})",
        "looked_for": f"0 * {n} + {POINTS}",
        "scale": f"({n} + {m}) / {m}",
        "least": least,
    }


WHY = {
    "discordant": "Pairs of which one is right and the other wrong.",
    "accuracy_difference": "Share of right predictions of the challenger minus that of the baseline.",
    "error_difference": "Mean absolute error of the challenger minus that of the baseline.",
    "z": "By how many standard errors the challenger is better; below 0 it is worse.",
    "information": "Discordant pairs, pairs of errors, or 1 / (1 / n + 1 / m); 0 if it is too little to judge.",
    "looked_for": "The difference that is looked for: two points, or a tenth of the error.",
    "scale": "Labels of the challenger for each unit of information.",
    "least": "With fewer labels nothing is judged.",
}
PARTS = (
    "discordant",
    "accuracy_difference",
    "error_difference",
    "error_variance",
    "z",
    "information",
    "rate",
    "variance",
    "looked_for",
    "scale",
    "least",
)


def compared() -> list[Rule]:
    """Differences, and what a verdict needs."""
    kinds = (of_classes(), of_errors(), of_labels())
    parts = [
        Rule(pair(name), "\nor ".join(f"({kind[name]})" for kind in kinds if name in kind), WHY.get(name, ""))
        for name in PARTS
    ]
    variance, looked_for = pair("variance"), pair("looked_for")
    first = f"{variance} * ({round(START + POWER_Z, 12)} / {looked_for}) ^ 2"
    by_power = f"{variance} * (({pair('planned_boundary')} + {round(POWER_Z, 12)}) / {looked_for}) ^ 2"
    return [
        *parts,
        Rule(
            pair("boundary"),
            boundary(pair("information")),
            "What z must exceed: it may be read at any time, and 1 of 100 comparisons of equal versions ever does "
            "(Robbins 1970).",
        ),
        Rule(pair("planned_boundary"), boundary(f"clamp_min({first} * {pair('rate')}, {LEAST})")),
        Rule(
            pair("needed"),
            greater(f"{by_power} * {pair('scale')}", pair("least")),
            "Pairs, or labels of the challenger, with which the difference is found with a probability of 90 %.",
        ),
        Rule(pair("size"), f"{pair('pairs')} or {pair('labels')}"),
    ]


def verdict() -> Rule:
    """The verdict on each challenger."""
    z, limit, size, enough = (pair(name) for name in ("z", "boundary", "size", "needed"))
    within = f"abs({z}) <= {limit}"
    cases = {
        "better": f"{z} > {limit}",
        "worse": f"{z} < -{limit}",
        "no difference seen": f"({within} and {size} >= {enough})",
        "not enough data": f"({within} unless {size} >= {enough})",
    }
    parts = (f'label_replace(({case}) ^ 0, "ml_pair_verdict", "{name}", "", "")' for name, case in cases.items())
    return Rule(VERDICT, "\nor ".join(parts), "1 with the label ml_pair_verdict.")


def scores() -> list[Rule]:
    """The distance of the challenger's scores from those of the primary with the most predictions."""
    count, cdf = "model:ml_prediction_score:increase24h", "le:ml_prediction_score:cdf24h"
    challenger = '{ml_model_role=~"canary|shadow"}'
    primary = f'topk by ({MODEL_NAME}) (1, {count}{{ml_model_role="primary"}})'

    return [
        Rule(
            "pair:ml_pair_score_ks:24h",
            f"max by ({PAIR}) (abs(\n"
            f"  {cdf}{challenger}\n"
            f"  - on ({MODEL_NAME}, le) group_left ({BASELINE}) {as_baseline(f'({cdf} and on ({MODEL}) {primary})')}))",
            "Kolmogorov-Smirnov distance of the scores, on the histogram's bins.",
        ),
        Rule(
            "pair:ml_pair_score_ks_noise:24h",
            f"1.95 * sqrt(1 / {count}{challenger}\n"
            f"  + on ({MODEL_NAME}) group_left ({BASELINE}) 1 / {as_baseline(primary)})",
            "The distance that 1 of 1000 windows exceeds by chance.",
        ),
    ]


def versions() -> RuleGroup:
    """All rules that compare versions."""
    return RuleGroup("otel-ml-versions", [*days(), *pairs(), *unpaired(), *compared(), verdict(), *scores()], "1m")
