"""A comparison as a table, a DataFrame, a dict and an HTML page."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from otel_ml import _extras, semconv
from otel_ml._report import page, section
from otel_ml.quality._performance import write_performance
from otel_ml.quality.comparison._feature_drift import FeatureDrift, describe
from otel_ml.quality.comparison._report import report
from otel_ml.quality.comparison._result import ComparisonResult
from otel_ml.quality.comparison._table import table


class Comparison(ComparisonResult):
    """A data set compared with a profile. It prints as a table, and shows itself in a notebook."""

    def to_frame(self) -> Any:
        """Returns a pandas DataFrame with a row per feature; with `by`, a row per period and feature."""
        pandas = _extras.load("pandas", "quality")
        if not self.periods:
            return pandas.DataFrame([_row(feature) for feature in self.features])
        return pandas.DataFrame(
            [{self.by: period.label, **_row(feature)} for period in self.periods for feature in period.features]
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns all figures as values that JSON can hold."""
        return {
            "profile": self.profile_id,
            "reference_rows": self.reference_rows,
            "rows": self.rows,
            "drifted": [feature.name for feature in self.features if feature.drifted],
            "findings": self.findings,
            "features": [asdict(feature) for feature in self.features],
            **({} if self.performance is None else {"performance": write_performance(self.performance)}),
            **({"by": self.by, "since": self.since} if self.by else {}),
            **(
                {"periods": [{**asdict(period), "verdict": period.verdict} for period in self.periods]}
                if self.by
                else {}
            ),
        }

    def save(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Writes the report as one HTML page without scripts.

        Args:
            path: The file; one that exists is replaced.
            title: What the page is called.
        """
        Path(path).write_text(page(report(self, title)), encoding="utf-8")

    def _repr_html_(self) -> str:
        return section(report(self))

    def __str__(self) -> str:
        return "\n".join(table(self))


def _row(feature: FeatureDrift) -> dict[str, Any]:
    missing = feature.shares.get(semconv.MISSING)
    return {
        "feature": feature.name,
        "verdict": feature.verdict,
        "findings": ", ".join(feature.findings),
        "psi": feature.psi,
        "psi_noise": feature.psi_noise,
        "jensen_shannon": feature.jensen_shannon,
        "count": feature.count,
        "missing": feature.missing,
        "missing_share": None if missing is None else missing.share,
        "missing_expected": None if missing is None else missing.expected,
        "invalid": feature.invalid,
        "direction": feature.direction,
        "changed": "; ".join(describe(feature)),
    }
