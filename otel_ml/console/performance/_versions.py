"""Two versions of a model under the same ids: how often they agree, and which one is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._figures import versions

if TYPE_CHECKING:
    from otel_ml.console.performance._counts import Counts, ModelVersion

COUNTERS: Final = (
    semconv.PAIR_OUTCOMES,
    semconv.PAIR_PREDICTIONS,
    semconv.PAIR_ABSOLUTE_ERROR,
    semconv.PAIR_ERROR_DIFFERENCE,
    semconv.PAIR_ERROR_DIFFERENCE_SQUARES,
)
_BASELINE: Final = (semconv.PAIR_VERSION, semconv.PAIR_ROLE)


def version_rows(challenger: ModelVersion, counts: Counts) -> list[dict[str, Any]]:
    """Returns the comparison of one version with each baseline that predicted under the same ids."""
    classes = counts.sums(semconv.PAIR_PREDICTIONS, *_BASELINE, semconv.PAIR_BASELINE, semconv.PAIR_CHALLENGER)
    outcomes = counts.sums(semconv.PAIR_OUTCOMES, *_BASELINE, semconv.PAIR_OUTCOME)
    rows = []
    for version, role in sorted({key[:2] for key in (*classes, *outcomes)}):
        cells = {key[2:]: times for key, times in classes.items() if key[:2] == (version, role)}
        four = [outcomes.get((version, role, name), 0.0) for name in semconv.PAIR_OUTCOME_VALUES]
        compared = sum(times for pair, times in cells.items() if all(pair))
        found = versions.compare_pairs(four) if any(four) else _errors(counts, version, role, cells.get(("", ""), 0.0))
        same = sum(times for (left, right), times in cells.items() if left == right)
        rows.append(
            {
                "version": challenger.version,
                "role": challenger.role,
                "baseline_version": version,
                "baseline_role": role,
                "figure": "accuracy" if any(four) else "mae",
                "pairs": sum(four) or cells.get(("", ""), 0.0),
                "agreement": same / compared if compared else None,
                "outcomes": dict(zip(semconv.PAIR_OUTCOME_VALUES, four, strict=True)) if any(four) else None,
                "difference": found.value,
                "interval": found.interval,
                "p_value": found.p_value,
                "needed": found.needed,
                "verdict": found.verdict,
            }
        )
    return rows


def _errors(counts: Counts, version: str, role: str, pairs: float) -> versions.Difference:
    """Compares the absolute errors of two versions of a regression."""
    key = (version, role)
    sides = counts.sums(semconv.PAIR_ERROR_DIFFERENCE, *_BASELINE, semconv.EVAL_DIRECTION)
    total = sides.get((*key, "over"), 0.0) - sides.get((*key, "under"), 0.0)
    squares, baseline = (
        counts.sums(metric, *_BASELINE).get(key, 0.0)
        for metric in (semconv.PAIR_ERROR_DIFFERENCE_SQUARES, semconv.PAIR_ABSOLUTE_ERROR)
    )
    return versions.compare_errors(pairs, total, squares, baseline)
