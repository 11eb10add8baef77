"""Rules about the distance of each feature from a reference, and what chance explains of it.

The formulas are those of `otel_ml/_distances.py`. A test gives the same counts to both.
"""

from __future__ import annotations

from dataclasses import dataclass

from recording.rule_parts import BIN, FEATURE, Rule

SHARE, BINS, SIZE = (
    "bin:ml_feature_reference_share:max",
    "feature:ml_feature_bins:count",
    "feature:ml_feature_reference_size:max",
)
"""Of the profile: share of each bin, number of bins, values."""
NULL_Z = 3.09
"""Standard normal quantile of 0.999."""


@dataclass(frozen=True)
class Distribution:
    """A distribution that windows are compared with, by its series."""

    name: str
    """What the names of the results begin with."""
    share: str
    """Share of each bin."""
    size: str
    """Values."""
    smoothed: str
    """Share of each bin of the window that is compared, smoothed towards the reference."""
    key: str = FEATURE
    """Labels of a feature in it."""


def training(window: str) -> Distribution:
    """The distribution of the profile, which is that of the training data if nobody named it."""
    return Distribution("feature:ml_feature", SHARE, SIZE, f"bin:ml_feature_share:smoothed{window}")


def psi(window: str, reference: Distribution) -> list[Rule]:
    """Shares of the window, and their distance from a reference."""
    p, q, key = reference.smoothed, reference.share, reference.key
    count = f"feature:ml_feature_values:increase{window}"
    return [
        Rule(
            p,
            f"({q} * on ({FEATURE}) group_left () {BINS}\n"
            f"  + on ({BIN}) group_left () bin:ml_feature_values:increase{window})\n"
            f"/ on ({FEATURE}) group_left () ({count} + {BINS})",
            "(c + k q) / (N + k): smoothed towards the reference, so that an empty bin neither divides by 0 nor "
            "inflates the score.",
        ),
        Rule(
            f"{reference.name}_psi:{window}",
            f"sum by ({key}) (\n  ({p} - {q}) * ln({p} / {q}))\nand on ({FEATURE}) {count} > 0",
            "Absent without values.",
        ),
    ]


def jensen_shannon(window: str) -> list[Rule]:
    """Another distance from training."""
    p, q = training(window).smoothed, SHARE
    return [
        Rule(
            f"feature:ml_feature_jsd:{window}",
            f"sqrt(clamp_min(0.5 * sum by ({FEATURE}) (\n"
            f"  {p} * log2(2 * {p} / ({p} + {q}))\n"
            f"  + {q} * log2(2 * {q} / ({p} + {q}))), 0))\n"
            f"and feature:ml_feature_values:increase{window} > 0",
            "Jensen-Shannon distance, base 2, between 0 and 1.",
        ),
    ]


def surplus(count: str, bins: str) -> str:
    """What a bin that is empty by chance adds to the chi-square, beside the 1 that each bin has."""
    return f"clamp_min(ln(({count} + {bins}) / {bins}), 1)"


def gamma_quantile(mean: str, variance: str, times_z: str, where: str) -> str:
    """A quantile of a gamma distribution, by Wilson and Hilferty.

    Args:
        mean: Its mean.
        variance: Its variance.
        times_z: Multiplies a vector by the normal quantile at the same level.
        where: Chooses the series that have a quantile.
    """
    relative = f"{variance} / (9 * {mean} ^ 2)"
    return f"({mean} {where})\n* (1 - {relative}\n  + sqrt({relative}) {times_z}) ^ 3"


def psi_noise(window: str, reference: Distribution) -> list[Rule]:
    """The PSI that chance gives in 1 of 1,000 windows."""
    count, key, name = f"feature:ml_feature_values:increase{window}", reference.key, reference.name
    mean, variance = f"{name}_psi_mean:{window}", f"{name}_psi_variance:{window}"
    expected = f"({reference.share} * on ({FEATURE}) group_left () {count})"
    return [
        Rule(
            mean,
            f"sum by ({key}) ({expected} * exp(-{expected}))\n"
            f"* on ({FEATURE}) group_left () ({surplus(count, BINS)} - 1)\n"
            f"+ on ({FEATURE}) group_left () ({BINS} - 1)",
            "Mean of a chi-square, and what bins add that are empty by chance, with the probability exp(-N q).",
        ),
        Rule(
            variance,
            f"sum by ({key}) ({expected} ^ 2 * exp(-{expected}))\n"
            f"* on ({FEATURE}) group_left () ({surplus(count, BINS)} ^ 2 - 1)\n"
            f"+ on ({FEATURE}) group_left () (2 * ({BINS} - 1))",
        ),
        Rule(
            f"{name}_psi_noise:{window}",
            f"{gamma_quantile(mean, variance, f'* {NULL_Z}', f'and on ({FEATURE}) {BINS} > 1')}\n"
            f"* (1 / ({reference.size} > 0) + on ({FEATURE}) group_left () 1 / ({count} > 0))",
            "99.9 % quantile of PSI without any drift: a gamma distribution by Wilson and Hilferty.",
        ),
    ]
