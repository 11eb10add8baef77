"""The figures of a comparison, which table and page print."""

from __future__ import annotations

from dataclasses import dataclass

from otel_ml import semconv
from otel_ml._verdicts import TOO_FEW
from otel_ml.quality._performance import Performance
from otel_ml.quality.comparison._feature_drift import FeatureDrift
from otel_ml.quality.comparison._periods import By, Period


@dataclass(frozen=True)
class ComparisonResult:
    """The verdicts on a data set, as a whole and by period."""

    profile_id: str
    reference_rows: int
    rows: int
    features: tuple[FeatureDrift, ...]
    """The most severe first."""
    by: By | None = None
    periods: tuple[Period, ...] = ()
    """With `by`: the same for the rows of each period, in order."""
    performance: Performance | None = None
    """How well the model did on these rows, if label and output are known."""
    trained: Performance | None = None
    """How well it did on those of the reference."""

    @property
    def findings(self) -> dict[str, tuple[str, ...]]:
        """The features with a finding, in the whole data set or in one period."""
        found = {feature.name: dict.fromkeys(feature.findings) for feature in self.features}
        for period in self.periods:
            for feature in period.features:
                found[feature.name].update(dict.fromkeys(feature.findings))
        return {
            name: tuple(sorted(findings, key=semconv.FINDINGS.index)) for name, findings in found.items() if findings
        }

    @property
    def since(self) -> dict[str, str]:
        """By feature, the first period of findings that last to the end. Too few values in a period do not end them."""
        began: dict[str, str] = {}
        for period in self.periods:
            for feature in period.features:
                if feature.findings:
                    began.setdefault(feature.name, period.label)
                elif feature.verdict != TOO_FEW:
                    began.pop(feature.name, None)
        return began
