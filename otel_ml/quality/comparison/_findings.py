"""What a comparison of a data set with a profile found."""

from __future__ import annotations

from dataclasses import dataclass

from otel_ml.quality.comparison._feature_drift import SEVERITY, FeatureDrift
from otel_ml.quality.comparison._periods import By, Period


@dataclass(frozen=True)
class Findings:
    """The verdicts on a data set, as a whole and by period."""

    profile_id: str
    reference_rows: int
    rows: int
    features: tuple[FeatureDrift, ...]
    """The most severe first."""
    by: By | None = None
    periods: tuple[Period, ...] = ()
    """With `by`: the same for the rows of each period, in order."""

    @property
    def findings(self) -> dict[str, tuple[str, ...]]:
        """The features with a finding, in the whole data set or in one period."""
        found = {feature.name: dict.fromkeys(feature.findings) for feature in self.features}
        for period in self.periods:
            for feature in period.features:
                found[feature.name].update(dict.fromkeys(feature.findings))
        return {name: tuple(sorted(findings, key=SEVERITY.__getitem__)) for name, findings in found.items() if findings}

    @property
    def since(self) -> dict[str, str]:
        """The period from which on a feature has findings to the end of the data; periods with too few values aside."""
        began: dict[str, str] = {}
        for period in self.periods:
            for feature in period.features:
                if feature.findings:
                    began.setdefault(feature.name, period.label)
                elif feature.verdict != "too_few":
                    began.pop(feature.name, None)
        return began
