"""Rules about each feature: its values, missing and invalid ones, and its verdict.

The formulas are those of `otel_ml/_verdicts.py`. A test gives the same counts to both.
"""

from __future__ import annotations

from recording.distance_rules import BINS, NULL_Z, SHARE, SIZE, Distribution, jensen_shannon, psi, psi_noise, training
from recording.rule_parts import BIN, FAST, FEATURE, MODEL, SLOW, Rule, RuleGroup

COLUMN = f"{MODEL}, ml_feature_name"
"""Missing values and violations carry no profile."""
FOUND = f"{COLUMN}, ml_feature_finding"
EXPECTED = "feature:ml_feature_expected_share:max"
"""Of the profile: share of each finding."""
NAME = "feature:ml_feature_reference:info"
"""The name of the profile that a feature is of, as the label `ml_reference`; without it that of the training data."""
ALERTED = "model:ml_alert_reference:info"
"""The reference that the alerts about drift read instead of the profile. `thresholds.yaml` chooses it."""
LABEL = "__label__"
"""The feature under which the labels are counted: they are never missing, and break no rule."""
VERDICT, CURRENT = "feature:ml_feature_verdict", "feature:ml_feature_verdict:current"
PSI_LIMIT, SHARE_LIMIT = (f"on ({FEATURE}) group_left () feature:ml_feature_{name}:limit" for name in ("psi", "share"))
LEAST_VALUES = 300
UNSEEN_VARIANCE = 4
ABSENT_SHARE = 0.99
KEPT = "30m"
"""How long the reference of an ended process stays, so that a nightly job alerts too."""


def merged(source: str) -> str:
    """Renames the bin of unseen categories to that of other ones; the label `raw` keeps the two series apart."""
    raw = f'label_replace({source}, "raw", "$1", "ml_feature_bin", "(.*)")'
    return f'label_replace(\n  {raw},\n  "ml_feature_bin", "__other__", "ml_feature_bin", "__unseen__")'


def marked(finding: str, expr: str) -> str:
    """Labels a vector with its finding."""
    return f'label_replace({expr}, "ml_feature_finding", "{finding}", "", "")'


def newest(series: str) -> str:
    """The newest value of a series, also of a process that has ended."""
    return f"last_over_time({series}[{KEPT}])"


def counted(window: str, matcher: str = "") -> str:
    """Values of features by bin, and labels as those of a feature."""
    label = f'label_replace(increase(ml_eval_label_bin_total{matcher}[{window}]), "ml_feature_name", "{LABEL}", "", "")'
    return f"increase(ml_feature_values_total{matcher}[{window}])\n  or {label}"


def reference() -> list[Rule]:
    """The training reference, once for all windows."""
    share, size = (newest(f"ml_feature_{name}") for name in ("reference_share_ratio", "reference_size"))
    of_features = f'ml_feature_expected_share_ratio{{ml_feature_name!="{LABEL}"}}'
    of_labels = f'ml_feature_expected_share_ratio{{ml_feature_name="{LABEL}", ml_feature_finding="unseen"}}'
    return [
        Rule(
            SHARE,
            f"sum by ({BIN}) ({merged(f'max by ({BIN}) ({share})')})",
            "Every process exports the same reference. Which rare categories a sample has is chance: other and unseen "
            "ones are one bin.",
        ),
        Rule(BINS, f"count by ({FEATURE}) ({SHARE})"),
        Rule(NAME, f"group by ({FEATURE}, ml_reference) ({newest('ml_feature_reference_size')})"),
        Rule("model:ml_feature_reference:info", f"group by ({MODEL}) ({NAME})"),
        Rule(SIZE, f"max by ({FEATURE}) ({size})"),
        Rule(
            EXPECTED,
            f"max by ({FEATURE}, ml_feature_finding) (\n  {newest(of_features)}\n  or {newest(of_labels)})",
            "Training data may lack labels; a label that arrives is never missing.",
        ),
    ]


def values(window: str) -> list[Rule]:
    """Values in each bin in the window, and in all."""
    counts = f"bin:ml_feature_values:increase{window}"
    return [
        Rule(
            counts,
            f"sum by ({BIN}) ({merged(counted(window))})\nor 0 * {SHARE}",
            "A bin that was never reported counts 0.",
        ),
        Rule(f"feature:ml_feature_values:increase{window}", f"sum by ({FEATURE}) ({counts})"),
    ]


def drifted(window: str, reference: Distribution) -> str:
    """1 for each feature whose distance is above the limit and above its noise, else 0; none of a periodic one."""
    distance, noise = (f"{reference.name}_{figure}:{window}" for figure in ("psi", "psi_noise"))
    periodic = newest('ml_feature_reference_size{ml_feature_periodic="true"}')
    return (
        f"\n  ({distance} > bool {PSI_LIMIT}) * ({distance} > bool {noise})\n"
        f"  * on ({FEATURE}) group_left () (feature:ml_feature_values:increase{window} >= bool {LEAST_VALUES})\n"
        f"  unless on ({FEATURE}) {periodic}\n"
    )


def counts(window: str) -> list[Rule]:
    """Values that are missing, invalid, unseen, out of range or of an absent column, and all rows."""
    broken = f"increase(ml_data_violations_total{{ml_rule_name=~%s}}[{window}])"
    sources = {
        "missing": f"increase(ml_feature_missing_total[{window}])",
        "invalid": broken % '"type|non_finite"',
        "unseen": counted(window, '{ml_feature_bin="__unseen__"}'),
        "out_of_range": broken % '"range_low|range_high"',
        "absent": broken % '"missing_column"',
    }
    series = f"feature:ml_feature_found:increase{window}"
    return [
        Rule(
            series,
            "\nor ".join(marked(name, f"sum by ({COLUMN}) ({source})") for name, source in sources.items()),
            "Missing values and violations carry no profile; those of an absent column are missing too.",
        ),
        Rule(
            f"feature:ml_feature_rows:increase{window}",
            f"0 * {SIZE} + on ({COLUMN}) group_left () sum by ({COLUMN}) (\n"
            f"  feature:ml_feature_values:increase{window}\n"
            f'  or {series}{{ml_feature_finding=~"missing|invalid"}})',
            "Every value is in a bin, missing, or invalid.",
        ),
    ]


def figures(window: str) -> list[Rule]:
    """Share of each finding, and what chance may add to its expected share."""
    rows, series = f"feature:ml_feature_rows:increase{window}", f"feature:ml_feature_found:increase{window}"

    def variance(matcher: str, uncertain: str) -> str:
        expected = f'{EXPECTED}{{ml_feature_finding{matcher}"unseen"}}'
        sizes = f"(1 / ({rows} > 0) + {uncertain} / ({SIZE} > 0))"
        return f"{expected} * (1 - {expected}) * on ({FEATURE}) group_left () {sizes}"

    return [
        Rule(
            f"feature:ml_feature_share:{window}",
            f"(0 * {EXPECTED} + on ({FOUND}) group_left () {series}\n  or 0 * {EXPECTED})\n"
            f"/ on ({FEATURE}) group_left () ({rows} > 0)",
            "Absent without rows.",
        ),
        Rule(
            f"feature:ml_feature_share_noise:{window}",
            f"{NULL_Z} * sqrt(\n"
            f"  {variance('!=', '1')}\n"
            f"  or {variance('=', UNSEEN_VARIANCE)})\n"
            f"+ on ({FEATURE}) group_left () ({NULL_Z} ^ 2 - 1) / (6 * ({rows} > 0))",
            "The excess over the expected share that chance gives in 1 of 1,000 windows: two proportions, and the "
            "correction of Cornish and Fisher for small counts. What is known of unseen categories is less certain.",
        ),
    ]


def verdict(window: str) -> list[Rule]:
    """1 for each finding that holds, 0 for each that does not; without rows absent."""
    rows, series = f"feature:ml_feature_rows:increase{window}", f"feature:ml_feature_found:increase{window}"
    absent = f"feature:ml_feature_absent:{window}"
    share, noise = f"feature:ml_feature_share:{window}", f"feature:ml_feature_share_noise:{window}"
    missing = f'abs({share}{{ml_feature_finding="missing"}} - {EXPECTED})'
    excess = f'({share}{{ml_feature_finding!="missing"}} - {EXPECTED})'
    by_distance = f"{drifted(window, training(window))}  or 0 * ({rows} > 0)"
    return [
        Rule(
            absent,
            f'0 * ({rows} > 0) + on ({COLUMN}) group_left () {series}{{ml_feature_finding="absent"}}\n'
            f"  >= bool {ABSENT_SHARE} * {rows}\n"
            f"or 0 * ({rows} > 0)",
            "At least 99 of 100 rows do not have the column.",
        ),
        Rule(
            f"{VERDICT}:{window}",
            f"{marked('absent', absent)}\n"
            f"or ({missing} > bool {SHARE_LIMIT}) * ({missing} > bool {noise})\n"
            f"  * on ({FEATURE}) group_left () (1 - {absent})\n"
            f"or ({excess} > bool {SHARE_LIMIT}) * ({excess} > bool {noise})\n"
            f"or {marked('drifted', by_distance)}",
            "A column that is absent is not missing too. A feature that follows the clock does not drift in a window.",
        ),
    ]


def drift(window: str, interval: str = "") -> RuleGroup:
    """PSI of each feature against the training reference with its noise level, and its verdict."""
    distances = [*psi(window, training(window)), *jensen_shannon(window), *psi_noise(window, training(window))]
    rules = [*values(window), *distances, *counts(window), *figures(window), *verdict(window)]
    return RuleGroup(f"otel-ml-drift-{window}", [*(reference() if window == FAST else []), *rules], interval)


def hour_or_day(series: str, matchers: str, count: str) -> str:
    """The figure of the last hour if that has enough values, else that of the last day."""
    enough = f"on ({FEATURE}) feature:ml_feature_{count}:increase{FAST} >= {LEAST_VALUES}"
    return f"{series}:{FAST}{matchers} and {enough}\nor {series}:{SLOW}{matchers} unless {enough}"


def by_choice(own: str, moving: str) -> str:
    """The figure against the profile, or against the reference that the alerts read instead of it."""
    return f"({own}) unless on ({MODEL}) {ALERTED}\nor ({moving}) and on ({MODEL}, ml_reference) {ALERTED}"


def current() -> RuleGroup:
    """The verdict and the figures that the alerts read."""
    of_rows, of_values = '{ml_feature_finding!="drifted"}', '{ml_feature_finding="drifted"}'
    drifted_now = by_choice(
        hour_or_day(VERDICT, of_values, "values"),
        marked("drifted", hour_or_day("feature:ml_feature_reference_drifted", "", "values")),
    )
    psi_now = by_choice(
        f"({hour_or_day('feature:ml_feature_psi', '', 'values')})\n* on ({FEATURE}) group_left (ml_reference) {NAME}",
        hour_or_day("feature:ml_feature_reference_psi", "", "values"),
    )
    return RuleGroup(
        "otel-ml-verdict",
        [
            Rule(
                CURRENT,
                f"{hour_or_day(VERDICT, of_rows, 'rows')}\nor {drifted_now}",
                "With little traffic the last day replaces the last hour.",
            ),
            Rule("feature:ml_feature_share:current", hour_or_day("feature:ml_feature_share", "", "rows")),
            Rule("feature:ml_feature_psi:current", psi_now, "Against the reference that thresholds.yaml chooses."),
        ],
    )
