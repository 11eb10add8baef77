"""Rules about the scores of a segment against those of the rest of its column."""

from __future__ import annotations

from itertools import pairwise

from recording.distance_rules import gamma_quantile, surplus
from recording.rule_parts import SEGMENT, Rule
from recording.rule_parts import SEGMENT_COLUMN as COLUMN

BIN = f"{SEGMENT}, le"
EDGES = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "+Inf")
"""Upper ends of the bins of `ml.segment.score`."""
LIMIT = (3.09025, 0.29659, -0.01153, 0.00057)


def one_higher(source: str) -> str:
    """Moves each count to the next bin, the highest first, so that no two meet."""
    for lower, higher in reversed([*pairwise(EDGES)]):
        source = f'label_replace({source}, "le", "{higher}", "le", "{lower}")'
    return source


def bins(window: str) -> list[Rule]:
    """Scores in each bin: of the segment, and of its column."""
    counts, below = (
        f"bin:ml_segment_score:increase{window}",
        f"sum by ({BIN}) (increase(ml_segment_score_bucket%s[{window}]))",
    )
    column = f"sum by ({COLUMN}, le) ({counts})"
    shifted = one_higher(below % '{le!="+Inf"}')
    return [
        Rule(
            counts,
            f"clamp_min({below % ''} - (\n  {shifted}\n  or 0 * {below % ''}), 0)",
            "A bucket counts the lower ones too.",
        ),
        Rule(f"segment:ml_segment_score:increase{window}", f"sum by ({SEGMENT}) ({counts})"),
        Rule(
            f"bin:ml_segment_score_share:{window}",
            f"0 * {counts} + on ({COLUMN}, le) group_left () (\n"
            f"  {column}\n  / on ({COLUMN}) group_left () (sum by ({COLUMN}) ({counts}) > 0) > 0)",
            "Share of the bin in the column; absent for a bin that the column does not have.",
        ),
        Rule(
            f"segment:ml_segment_score_bins:count{window}",
            f"count by ({SEGMENT}) (bin:ml_segment_score_share:{window})",
        ),
        Rule(
            f"segment:ml_segment_score_rest:increase{window}",
            rest(f"segment:ml_segment_score:increase{window}", COLUMN),
        ),
    ]


def rest(series: str, column: str) -> str:
    """The sum over the other segments of a column, with the labels that identify it."""
    return f"-({series} - on ({column}) group_left ()\n  sum by ({column}) ({series}))"


def noise_limit(segments: str) -> str:
    """The normal quantile of 1 - 0.001 / segments, as a polynomial of the logarithm of their number."""
    return " + ".join(
        [str(LIMIT[0]), *(f"{factor} * ln({segments}) ^ {power}" for power, factor in enumerate(LIMIT) if power)]
    )


def smoothed(window: str) -> tuple[str, str]:
    """Share of each bin in the segment and in the rest, both smoothed towards the column: (c + k q) / (N + k)."""
    counts, share = f"bin:ml_segment_score:increase{window}", f"bin:ml_segment_score_share:{window}"
    own, rest = (f"segment:ml_segment_score{name}:increase{window}" for name in ("", "_rest"))
    number = f"segment:ml_segment_score_bins:count{window}"

    def ratio(part: str, whole: str) -> str:
        return f"(({part})\n    / on ({SEGMENT}) group_left () {whole})"

    def times(size: str) -> str:
        return f"{share} * on ({SEGMENT}) group_left () {size}"

    return (
        ratio(f"{counts} + {times(number)}", f"({own} + {number})"),
        ratio(f"{times(f'({own} + {rest} + {number})')} - {counts}", f"({rest} + {number})"),
    )


def noise(window: str) -> list[Rule]:
    """The shift that chance gives in 1 of 1,000 windows: a gamma distribution, as for the PSI of features."""
    share, number = f"bin:ml_segment_score_share:{window}", f"segment:ml_segment_score_bins:count{window}"
    own, rest = (f"segment:ml_segment_score{name}:increase{window}" for name in ("", "_rest"))
    mean, variance = (f"segment:ml_score_shift_{name}:{window}" for name in ("mean", "variance"))
    smaller = f"({own} < {rest} or {rest})"
    expected = f"({share} * on ({SEGMENT}) group_left () {smaller})"
    empty = surplus(smaller, number)
    at_limit = f"* on ({COLUMN}) group_left () column:ml_score_shift_limit:{window}"
    return [
        Rule(
            mean,
            f"{number} - 1 + ({empty} - 1)\n* sum by ({SEGMENT}) ({expected} * exp(-{expected}))",
            "Mean of a chi-square, and what bins add that are empty by chance, with the probability exp(-N q).",
        ),
        Rule(
            variance,
            f"2 * ({number} - 1) + ({empty} ^ 2 - 1)\n* sum by ({SEGMENT}) ({expected} ^ 2 * exp(-{expected}))",
        ),
        Rule(f"column:ml_score_shift_limit:{window}", noise_limit(f"count by ({COLUMN}) ({own} > 0)")),
        Rule(
            f"segment:ml_score_shift_noise:{window}",
            f"{gamma_quantile(mean, variance, at_limit, f'and {number} > 1')}\n* (1 / ({own} > 0) + 1 / ({rest} > 0))",
            "99.9 % quantile without a difference, over all segments of the column: Wilson and Hilferty.",
        ),
    ]


def score_shift(window: str) -> list[Rule]:
    """PSI of the scores of a segment against the rest of its column, and what chance explains."""
    own, rest = (f"segment:ml_segment_score{name}:increase{window}" for name in ("", "_rest"))
    p, q = smoothed(window)
    return [
        *bins(window),
        Rule(
            f"segment:ml_score_shift:{window}",
            f"sum by ({SEGMENT}) (\n  ({p}\n  - {q})\n  * ln({p}\n  / {q}))\nand {own} > 0 and {rest} > 0",
            "Population stability index, both smoothed towards the column; absent without scores.",
        ),
        *noise(window),
    ]
