"""The table of features: verdict, distance, and the share of each finding, now and in training."""

from __future__ import annotations

from rows.panels import CHOSEN, MODEL_COLUMNS, VERSION, Json, Panel, coloured, joined, newest, styled

BY_FEATURE = f"by ({VERSION}, ml_feature_name)"
FINDINGS = ("drifted", "out_of_range", "unseen", "missing", "invalid", "absent")
"""From the least severe to the most severe."""
TOO_FEW, OK = -1, 0


def chosen(series: str, finding: str = "") -> str:
    """Selects the series of the models that the variables name, of all findings or of one."""
    more = f', ml_feature_finding="{finding}"' if finding else ""
    return f"{series}{{{CHOSEN}{more}}}"


def greatest(series: str, finding: str = "") -> str:
    """The greatest value of each feature over services, environments, roles and profiles."""
    return f"max {BY_FEATURE} ({chosen(series, finding)})"


def verdict() -> str:
    """The most severe finding as a number; 0 without one, and -1 with too few values to say."""
    found = " or ".join(
        f"{code} * ({chosen('feature:ml_feature_verdict:$window', finding)} == 1)"
        for code, finding in enumerate(FINDINGS, 1)
    )
    return f"max {BY_FEATURE} ({found} or ({chosen('feature:ml_feature_values:increase$window')} >= bool 300) - 1)"


SHARE, EXPECTED = "feature:ml_feature_share:$window", "feature:ml_feature_expected_share:max"
COLUMNS = {
    "Verdict": verdict(),
    "PSI": greatest("feature:ml_feature_psi:$window"),
    "Noise": greatest("feature:ml_feature_psi_noise:$window"),
    "Missing": greatest(SHARE, "missing"),
    "Missing in training": greatest(EXPECTED, "missing"),
    "Invalid": greatest(SHARE, "invalid"),
    "Unseen": greatest(SHARE, "unseen"),
    "Unseen expected": greatest(EXPECTED, "unseen"),
    "Out of range": greatest(SHARE, "out_of_range"),
    "Values": f"sum {BY_FEATURE} ({chosen('feature:ml_feature_values:increase$window')})",
}
PERCENT = ("Missing", "Missing in training", "Invalid", "Unseen", "Unseen expected", "Out of range")


def verdict_texts() -> dict[str, Json]:
    """Texts and colours for the numbers of the verdict."""
    texts = {TOO_FEW: ("too few", "text"), OK: ("ok", "green")}
    texts |= {code: (finding.replace("_", " "), "red") for code, finding in enumerate(FINDINGS, 1)}
    return {str(code): {"text": text, "color": colour} for code, (text, colour) in texts.items()}


FEATURES = Panel(
    "Features",
    "The verdict on each feature, the most severe first, and the figures behind it: now, and as expected. "
    "Without values there is no PSI.",
    [newest(expr) for expr in COLUMNS.values()],
    kind="table",
    width=24,
    options={"sortBy": [{"displayName": "Verdict", "desc": True}]},
    overrides=[
        coloured("Verdict", verdict_texts()),
        *(styled(column, unit="percentunit", decimals=1) for column in PERCENT),
        *(styled(column, decimals=3) for column in ("PSI", "Noise")),
    ],
    transformations=joined(COLUMNS, first="Verdict", ml_feature_name="Feature", **MODEL_COLUMNS),
)
