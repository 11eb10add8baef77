"""What was counted of each feature in a time range, over all replicas, beside what the reference expects."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._verdicts import RULES_OF_FINDING
from otel_ml.console.storage._metric_points import Point, Span, increases, latest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

_GAUGES: Final = (
    semconv.FEATURE_REFERENCE_SHARE.name,
    semconv.FEATURE_REFERENCE_SIZE.name,
    semconv.FEATURE_EXPECTED_SHARE.name,
)
_COUNTERS: Final = (
    semconv.FEATURE_VALUES.name,
    semconv.FEATURE_MISSING.name,
    semconv.DATA_VIOLATIONS.name,
    semconv.EVAL_LABEL_BIN.name,
)
_IDENTITY: Final = (semconv.MODEL_NAME, semconv.MODEL_VERSION, semconv.MODEL_ROLE)
_FINDING_OF_RULE: Final = {rule: finding for finding, rules in RULES_OF_FINDING.items() for rule in rules}


class ModelColumn(NamedTuple):
    """A column of a model; missing values and violations carry no profile."""

    model: tuple[str, ...]
    name: str


@dataclass
class FeatureCounts:
    """Sums over the replicas, by column, or by column and profile."""

    bins: dict[tuple[ModelColumn, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Values in each bin."""
    found: dict[ModelColumn, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Values by finding."""
    shares: dict[tuple[ModelColumn, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Share of each bin in the reference."""
    expected: dict[tuple[ModelColumn, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Expected share by finding."""
    sizes: dict[tuple[ModelColumn, str], tuple[float, bool]] = field(default_factory=dict)
    """Values in the reference, and whether the feature is periodic."""


def total_counts(cursor: duckdb.DuckDBPyConnection, span: Span) -> FeatureCounts:
    """Returns the counts of all of the range, with the reference."""
    total = FeatureCounts()
    for point in (*increases(cursor, _COUNTERS, span), *latest(cursor, _GAUGES, span)):
        _add_point(total, point)
    return total


def counts_over_time(
    cursor: duckdb.DuckDBPyConnection, span: Span, edges: Sequence[int], total: FeatureCounts, features: Sequence[str]
) -> list[FeatureCounts]:
    """Returns the counts of some features in each period; periods after the first begin at the edges."""
    if not edges or not features:
        return [total] * (len(edges) + 1)
    periods = [
        FeatureCounts(shares=total.shares, expected=total.expected, sizes=total.sizes) for _ in range(len(edges) + 1)
    ]
    wanted = (semconv.FEATURE_NAME, features)
    for point in increases(cursor, _COUNTERS, span, edges, wanted):
        _add_point(periods[point.period], point)
    return periods


def _add_point(counts: FeatureCounts, point: Point) -> None:
    attributes = point.attributes
    default = semconv.LABEL_FEATURE if point.name == semconv.EVAL_LABEL_BIN.name else None
    feature = attributes.get(semconv.FEATURE_NAME, default)
    if feature is not None and _is_possible(point):
        model = tuple([str(attributes.get(key, "")) for key in _IDENTITY])
        _add(counts, point.name, attributes, ModelColumn(model, str(feature)), point.value)


def _is_possible(point: Point) -> bool:
    """Whether a figure has the logarithms and square roots of a verdict; others are mistakes of their sender."""
    if point.name == semconv.FEATURE_REFERENCE_SHARE.name:
        return 0 < point.value <= 1
    return 0 <= point.value <= (1 if point.name == semconv.FEATURE_EXPECTED_SHARE.name else math.inf)


def _add(counts: FeatureCounts, name: str, attributes: Mapping[str, Any], column: ModelColumn, value: float) -> None:
    key = (column, str(attributes.get(semconv.PROFILE_ID, "")))
    bin_, finding = str(attributes.get(semconv.FEATURE_BIN, "")), str(attributes.get(semconv.FEATURE_FINDING, ""))
    if name == semconv.FEATURE_REFERENCE_SIZE.name:
        counts.sizes[key] = (value, attributes.get(semconv.FEATURE_PERIODIC) == "true")
    elif name == semconv.FEATURE_REFERENCE_SHARE.name:
        counts.shares[key][bin_] = value
    elif name == semconv.FEATURE_EXPECTED_SHARE.name:
        counts.expected[key][finding] = value
    elif name in {semconv.FEATURE_VALUES.name, semconv.EVAL_LABEL_BIN.name}:
        _sum(counts.bins[key], bin_, value)
        if bin_ == semconv.UNSEEN:
            _sum(counts.found[column], semconv.UNSEEN_CATEGORIES, value)
    elif name == semconv.FEATURE_MISSING.name:
        _sum(counts.found[column], semconv.MISSING, value)
    elif attributes.get(semconv.RULE_NAME) in _FINDING_OF_RULE:
        _sum(counts.found[column], _FINDING_OF_RULE[attributes[semconv.RULE_NAME]], value)


def _sum(sums: dict[str, float], key: str, value: float) -> None:
    sums[key] = sums.get(key, 0.0) + value
