"""Rules that compare each feature, the output and the labels with a reference that moves.

The label `ml_reference` says which one: `last_week`, the same window a week ago; `previous_version`, what the version
before counted in the last 7 days; the name of a window that the profile has saved; or the name of the profile itself,
`training` if nobody named it. The first two read counts that other rules have recorded, so a model younger than its
reference has none: the results are absent.
"""

from __future__ import annotations

from recording.distance_rules import BINS, Distribution, psi, psi_noise
from recording.feature_rules import NAME, drifted, merged, newest
from recording.rule_parts import BIN, FAST, FEATURE, MODEL_NAME, SLOW, SLOW_INTERVAL, Rule, RuleGroup

LAST_WEEK, PREVIOUS, TRAINING = "last_week", "previous_version", "training"
VERSION = f"{MODEL_NAME}, ml_model_version"
SHARED = f"{MODEL_NAME}, ml_feature_name"
"""What a feature has in common in two versions."""
START = "version:ml_model_version_start:time"
BEFORE, MATCHED, IN_MY_BINS = (
    f"bin:ml_feature_values_{name}:increase7d" for name in ("before", "before_matched", "previous_version")
)
KEPT = "7d"
"""How long the counts of a version serve as a reference after it was replaced."""
INTERVAL = "2m"
"""Less than the 5 minutes for which Prometheus remembers a recorded value."""


def named(reference: str, expr: str) -> str:
    """Labels a vector with the name of its reference."""
    return f'label_replace({expr}, "ml_reference", "{reference}", "", "")'


def moving(window: str) -> Distribution:
    """The distributions that move, of each feature one a reference."""
    return Distribution(
        "feature:ml_feature_reference",
        f"bin:ml_feature_reference_share:{window}",
        f"feature:ml_feature_reference_size:{window}",
        f"bin:ml_feature_share:smoothed_reference{window}",
        f"{FEATURE}, ml_reference",
    )


def shares(window: str) -> list[Rule]:
    """Values of each reference, and its shares as a profile of these values has them."""
    counted = f"bin:ml_feature_reference_values:{window}"
    now, key = f"bin:ml_feature_values:increase{window}", f"{FEATURE}, ml_reference"
    saved = merged(f"max by ({BIN}, ml_reference) ({newest('ml_feature_window_values')})")
    weights = f'{counted}{{ml_feature_bin!="__other__"}} + 0.5 or {counted}{{ml_feature_bin="__other__"}} + 1'
    return [
        Rule(
            counted,
            f"{named(LAST_WEEK, f'({now} offset 1w) and {now}')}\n"
            f"or {named(PREVIOUS, IN_MY_BINS)}\n"
            f"or sum by ({BIN}, ml_reference) ({saved})",
            "All in the bins of the profile. Without a week of data, or without a version before, there are none.",
        ),
        Rule(moving(window).size, f"sum by ({key}) ({counted}) > 0"),
        Rule(
            moving(window).share,
            f"({weights})\n/ on ({key}) group_left () (sum by ({key}) (\n  {weights}) and {moving(window).size})",
            "Half a value more in each bin, so that no share is 0; __other__ is two bins, those of other and of "
            "unseen categories.",
        ),
    ]


def with_profile(rule: Rule, series: str) -> Rule:
    """Adds to a figure that of the profile, with the profile's name."""
    own = f"{series} * on ({FEATURE}) group_left (ml_reference) {NAME}"
    return Rule(
        rule.record,
        f'{rule.expr}\nor label_replace({own}, "ml_reference", "{TRAINING}", "ml_reference", "")',
        rule.why,
    )


def comparison(window: str) -> list[Rule]:
    """Distance of the window from each reference, what chance explains of it, and the verdict."""
    against = moving(window)
    smoothed, distance = psi(window, against)
    mean, variance, noise = psi_noise(window, against)
    return [
        smoothed,
        with_profile(distance, f"feature:ml_feature_psi:{window}"),
        mean,
        variance,
        with_profile(noise, f"feature:ml_feature_psi_noise:{window}"),
        Rule(f"{against.name}_drifted:{window}", drifted(window, against).strip(), "1 if it has drifted, else 0."),
    ]


def references(window: str) -> RuleGroup:
    """Each feature against each reference."""
    interval = SLOW_INTERVAL if window == SLOW else ""
    return RuleGroup(f"otel-ml-references-{window}", [*shares(window), *comparison(window)], interval)


def previous_version() -> RuleGroup:
    """What the version before the newest one has counted, in the bins of the newest one."""
    known = f"last_over_time({START}[{KEPT}])"
    serving = f"max by ({VERSION}) (feature:ml_feature_values:increase{FAST} > 0)"
    latest = f"max by ({MODEL_NAME}) ({known})"
    counts = f"bin:ml_feature_values:increase{FAST}"
    mine = f"0 * {counts} and on ({VERSION}) ({known} == on ({MODEL_NAME}) group_left () {latest})"
    return RuleGroup(
        "otel-ml-previous-version",
        [
            Rule(
                START,
                f"{known} and on ({VERSION}) {serving}\nor 0 * {serving} + time()",
                "When a version was first seen; a pause of less than a week does not make it new.",
            ),
            Rule(
                "version:ml_model_version_before:time",
                f"{known} == on ({MODEL_NAME}) group_left ()\n"
                f"  max by ({MODEL_NAME}) ({known} < on ({MODEL_NAME}) group_left () {latest})",
                "The version that began last before the newest one.",
            ),
            Rule(
                BEFORE,
                f"sum by ({SHARED}, ml_feature_bin) (\n"
                f"  sum_over_time({counts}[{KEPT}:1h]) and on ({VERSION}) version:ml_model_version_before:time)",
            ),
            Rule(MATCHED, f"({mine})\n+ on ({SHARED}, ml_feature_bin) group_left () {BEFORE}"),
            Rule(
                IN_MY_BINS,
                f"{MATCHED}\n"
                f"and on ({FEATURE}) count by ({FEATURE}) ({MATCHED}) == {BINS}\n"
                f"and on ({FEATURE}) {BINS} == on ({SHARED}) group_left () count by ({SHARED}) ({BEFORE})",
                "Only features that have the same bins in both versions.",
            ),
        ],
        INTERVAL,
    )
