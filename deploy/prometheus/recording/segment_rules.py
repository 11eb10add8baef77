"""Rules about segments: each value of a column against the rest of its column.

The formulas are those of `otel_ml/_figures/segments.py`. A test gives the same counts to both.
"""

from __future__ import annotations

from recording.figure_rules import figure, union
from recording.rule_parts import MODEL, SEGMENT, Rule, RuleGroup, in_either_window
from recording.rule_parts import SEGMENT_COLUMN as COLUMN
from recording.segment_score_rules import noise_limit, rest, score_shift

OF_COLUMN = f"{COLUMN}, ml_prediction_class, ml_eval_figure"
"""One figure of one column. Only a selection rate is of a class."""
SHARES = "accuracy|error_ratio"
"""Figures whose part are the wrong or failed rows: more is worse."""
MEAN = '{ml_eval_figure="mae"}'
LEAST_ROWS, LEAST_ERRORS = 30, 10
POINTS, SHARE, SELECTION_RATIO = (
    f"on ({MODEL}) group_left () model:ml_segment_{name}:limit" for name in ("points", "share", "selection_ratio")
)
"""What is worth an alert, from thresholds.yaml: points of a share, part of the rest's mean error, a ratio of rates."""
TINY = "1e-300"
NOW = "segment:ml_worse:current"


def increase(name: str, window: str, by: str = SEGMENT) -> str:
    """Increase of one counter over all replicas."""
    return f"sum by ({by}) (increase(ml_{name}_total[{window}]))"


def predicted(window: str) -> str:
    """Predictions of each segment."""
    return f"sum by ({SEGMENT}) (segment:ml_predicted:increase{window})"


def of_outcomes(which: str, window: str) -> str:
    """Labelled predictions with one of these outcomes; absent for a task without them."""
    return f'sum by ({SEGMENT}) (segment:ml_outcomes:increase{window}{{ml_eval_outcome=~"{which}"}})'


def selected(window: str) -> str:
    """Predictions of each class of a binary model; 0 of a class that only other segments have."""
    counts = f'segment:ml_predicted:increase{window}{{ml_prediction_class!=""}}'
    totals = f"sum by ({COLUMN}, ml_prediction_class) ({counts})"
    first = f"topk by ({COLUMN}) (1, {totals})"
    second = f"topk by ({COLUMN}) (1, {totals} unless {first})"
    zeros = (
        f"0 * {predicted(window)} * on ({COLUMN}) group_left (ml_prediction_class) {each}" for each in (first, second)
    )
    return "\n  or ".join([counts, *zeros])


def wholes(window: str) -> dict[str, str]:
    """Rows behind each figure."""
    failed, rows = f"segment:ml_failed:increase{window}", predicted(window)
    return {
        "accuracy": of_outcomes(".+", window),
        "error_ratio": f"({rows} + ({failed} or 0 * {rows}) or {failed})",
        "mae": increase("eval_segment_predictions", window),
        "selection_rate": f"0 * segment:ml_selected:increase{window} + on ({SEGMENT}) group_left () {rows}",
        "true_positive_rate": of_outcomes("tp|fn", window),
        "false_positive_rate": of_outcomes("fp|tn", window),
    }


def parts(window: str) -> dict[str, str]:
    """How many of these rows have something in common; of `mae` the sum of their absolute errors."""
    return {
        "accuracy": f"({of_outcomes('fp|fn|wrong', window)} or 0 * {of_outcomes('.+', window)})",
        "error_ratio": f"(segment:ml_failed:increase{window} or 0 * {predicted(window)})",
        "mae": increase("eval_segment_absolute_error", window),
        "selection_rate": f"segment:ml_selected:increase{window}",
        "true_positive_rate": f"({of_outcomes('tp', window)} or 0 * {of_outcomes('fn', window)})",
        "false_positive_rate": f"({of_outcomes('fp', window)} or 0 * {of_outcomes('tn', window)})",
    }


def counts(window: str) -> list[Rule]:
    """What each figure is of, in the segment and in the rest of its column."""
    by_class, by_outcome = f"{SEGMENT}, ml_prediction_class", f"{SEGMENT}, ml_eval_outcome"
    return [
        Rule(f"segment:ml_predicted:increase{window}", increase("segment_predictions", window, by_class)),
        Rule(f"segment:ml_failed:increase{window}", increase("segment_errors", window)),
        Rule(f"segment:ml_outcomes:increase{window}", increase("eval_segment_outcomes", window, by_outcome)),
        Rule(
            f"segment:ml_selected:increase{window}",
            selected(window),
            "Predictions of each class of a binary model; 0 of a class that only other segments have.",
        ),
        Rule(f"segment:ml_whole:increase{window}", union(wholes(window)), "Rows behind each figure."),
        Rule(
            f"segment:ml_part:increase{window}",
            union(parts(window)),
            "Wrong or failed rows, selected ones, true or false positives; of `mae` the sum of the absolute errors.",
        ),
        Rule(
            f"segment:ml_squares:increase{window}",
            figure("mae", increase("eval_segment_squared_error", window)),
            "Sum of the squared errors.",
        ),
        *(
            Rule(
                f"segment:ml_rest_{name}:increase{window}",
                rest(f"segment:ml_{name}:increase{window}", OF_COLUMN),
                "The other segments of the column." if name == "whole" else "",
            )
            for name in ("whole", "part", "squares")
        ),
    ]


def figures(window: str) -> list[Rule]:
    """The figures themselves."""
    part, whole = f"segment:ml_part:increase{window}", f"segment:ml_whole:increase{window}"

    def value(name: str) -> str:
        of = f'{{ml_eval_figure="{name}"}}'
        return f"sum without (ml_eval_figure) ({part}{of} / ({whole}{of} > 0))"

    rows = f'{whole}{{ml_eval_figure="error_ratio"}}'
    return [
        Rule(f"segment:ml_accuracy:{window}", f"1 - {value('accuracy')}"),
        *(
            Rule(f"segment:ml_{name}:{window}", value(name))
            for name in ("error_ratio", "mae", "selection_rate", "true_positive_rate", "false_positive_rate")
        ),
        Rule(
            f"segment:ml_labels:{window}",
            f'sum without (ml_eval_figure) ({whole}{{ml_eval_figure=~"accuracy|mae"}})',
            "Labelled predictions.",
        ),
        Rule(
            f"segment:ml_missing_values:ratio{window}",
            f"{increase('segment_missing', window)}\n/ (sum without (ml_eval_figure) ({rows}) > 0)",
            "Missing feature values per row, also of rows that failed.",
        ),
    ]


def share_z(window: str) -> str:
    """The signed root of the likelihood-ratio statistic of two proportions (Wilks 1938)."""
    shares = '{ml_eval_figure!="mae"}'
    part, whole, rest_part, rest_whole = (
        f"segment:ml_{name}:increase{window}" for name in ("part", "whole", "rest_part", "rest_whole")
    )
    expected = f"segment:ml_expected:increase{window}"
    cells = {
        f"{part}{shares}": expected,
        f"({whole}{shares} - {part})": f"({whole} - {expected})",
        f"{rest_part}{shares}": f"({part} + {rest_part} - {expected})",
        f"({rest_whole}{shares} - {rest_part})": f"({rest_whole} - {part} - {rest_part} + {expected})",
    }
    terms = "\n    + ".join(
        f"{seen} * ln(clamp_min({seen}, {TINY}) / clamp_min({common}, {TINY}))" for seen, common in cells.items()
    )
    return f"sgn(segment:ml_gap:{window}) * sqrt(clamp_min(\n  2 * ({terms}), 0))"


def variances(window: str) -> list[Rule]:
    """Variance of the absolute errors of each segment, of the rest, and of both."""
    whole, part, squares = (f"segment:ml_%s{name}:increase{window}" for name in ("whole", "part", "squares"))

    def both(series: str) -> str:
        return f"({series % ''} + {series % 'rest_'})"

    def variance(count: str, total: str, square: str) -> str:
        return f"clamp_min({square} - {total} ^ 2 / {count}, 0)\n/ ({count} - 1 > 0)"

    return [
        *(
            Rule(f"segment:ml_{each}variance:{window}", variance(whole % each, part % each, squares % each))
            for each in ("", "rest_")
        ),
        Rule(f"segment:ml_column_variance:{window}", variance(both(whole), both(part), both(squares))),
    ]


def mean_z(window: str) -> str:
    """Welch's statistic of two means, where neither variance is below that of the column."""
    column = f"segment:ml_column_variance:{window}"

    def error(prefix: str) -> str:
        own, count = f"segment:ml_{prefix}variance:{window}", f"segment:ml_{prefix}whole:increase{window}"
        return f"({own} > {column} or {column}) / ({count} >= {LEAST_ERRORS})"

    both = f"sqrt({error('')} + {error('rest_')})"
    return f"segment:ml_gap:{window} / ({both} > 0)\nor 0 * {both}"


def comparison(window: str) -> list[Rule]:
    """How far each segment is from the rest of its column, and what chance explains."""
    part, whole, rest_part, rest_whole = (
        f"segment:ml_{name}:increase{window}" for name in ("part", "whole", "rest_part", "rest_whole")
    )
    gap, z, limit = f"segment:ml_gap:{window}", f"segment:ml_gap_z:{window}", f"column:ml_gap_limit:{window}"
    return [
        Rule(
            gap,
            f"{part} / ({whole} > 0) - {rest_part} / ({rest_whole} > 0)",
            "Own minus rest: the share of wrong or failed ones, the mean error, the rate. Absent without a rest.",
        ),
        Rule(
            f"segment:ml_expected:increase{window}",
            f"{whole} * on ({OF_COLUMN}) group_left ()\n"
            f"  (sum by ({OF_COLUMN}) ({part}) / (sum by ({OF_COLUMN}) ({whole}) > 0))",
            "What the segment would have if it were as its column.",
        ),
        *variances(window),
        Rule(
            z,
            f"{share_z(window)}\nor {mean_z(window)}",
            "Standard deviations: the root of the likelihood ratio of two shares; for errors Welch's statistic.",
        ),
        Rule(
            limit,
            noise_limit(f"count by ({OF_COLUMN}) ({whole} > 0)"),
            "The normal quantile of 1 - 0.001 / segments (Bonferroni): one column passes it in 1 of 1,000 windows.",
        ),
    ]


def verdicts(window: str) -> list[Rule]:
    """The segment that stands out most, and whether each is worse than the rest."""
    gap, z, limit = f"segment:ml_gap:{window}", f"segment:ml_gap_z:{window}", f"column:ml_gap_limit:{window}"
    whole, rest_part, rest_whole = (
        f"segment:ml_{name}:increase{window}" for name in ("whole", "rest_part", "rest_whole")
    )
    return [
        Rule(
            f"segment:ml_gap_worst:{window}",
            f'{gap}{{ml_eval_figure=~"{SHARES}|mae"}}\n'
            f"and {z} == on ({OF_COLUMN}) group_left () max by ({OF_COLUMN}) ({z})",
            "The segment that stands out most.",
        ),
        Rule(
            f"segment:ml_worse:{window}",
            f'({gap}{{ml_eval_figure=~"{SHARES}"}} > bool {POINTS}\n'
            f"  or {gap}{MEAN} > bool {rest_part} / {rest_whole} * {SHARE})\n"
            f"* ({z} > bool on ({OF_COLUMN}) group_left () {limit})\n"
            f"* ({whole} >= bool {LEAST_ROWS}) * ({rest_whole} >= bool {LEAST_ROWS})",
            "1 if the segment is worse than the rest by a practical size and more than chance explains, else 0.",
        ),
    ]


def fairness(window: str) -> list[Rule]:
    """How differently segments are treated: each rate, its lowest against its highest."""
    rates = {name: f"segment:ml_{name}_rate:{window}" for name in ("selection", "true_positive", "false_positive")}
    selection, of = rates.pop("selection"), '{ml_eval_figure="selection_rate"}'
    z = f"segment:ml_gap_z:{window}{of}"
    of_class, whole = f"{COLUMN}, ml_prediction_class", f"segment:ml_whole:increase{window}"
    enough = f"{selection} and on ({SEGMENT}, ml_prediction_class) {whole}{of} >= {LEAST_ROWS}"
    highest = f"max by ({of_class}) ({selection})"

    def several(rate: str, by: str = COLUMN) -> str:
        return f"count by ({by}) ({rate}) > 1"

    return [
        Rule(
            f"segment:ml_selection_ratio:{window}",
            f"min by ({of_class}) ({selection})\n/ ({highest} > 0)\nand {several(selection, of_class)}",
            "Lowest over highest selection rate, for each class.",
        ),
        *(
            Rule(
                f"segment:ml_{name}_rate_difference:{window}",
                f"max by ({COLUMN}) ({rate}) - min by ({COLUMN}) ({rate})\nand {several(rate)}",
                "Highest minus lowest." if name == "true_positive" else "",
            )
            for name, rate in rates.items()
        ),
        Rule(
            f"segment:ml_unfair:{window}",
            f"({selection} < bool on ({of_class}) group_left ()\n"
            f"  (max by ({of_class}) ({enough}) * {SELECTION_RATIO}))\n"
            f"* on ({SEGMENT}, ml_prediction_class) (\n"
            f"  (-{z} > bool on ({OF_COLUMN}) group_left () column:ml_gap_limit:{window})\n"
            f"  * ({whole} >= bool {LEAST_ROWS}))",
            "1 if the class is predicted at less than the limit, by default four fifths, of the rate of the segment "
            "that has it most, and rarer than chance explains, else 0.",
        ),
    ]


def segments(window: str, interval: str = "") -> RuleGroup:
    """All rules about segments in one window; each reads those before it."""
    rules = [
        *counts(window),
        *figures(window),
        *comparison(window),
        *verdicts(window),
        *fairness(window),
        *score_shift(window),
    ]
    return RuleGroup(f"otel-ml-segments-{window}", rules, interval)


def segments_now() -> RuleGroup:
    """What the alert reads: the segments that are worse than the rest, by the last hour or by the last day."""
    return RuleGroup("otel-ml-segments-worse", [in_either_window(NOW)])
