"""The verdict on each feature in a time range, from the stored counts, by the formulas of the recording rules."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._verdicts import RULES_OF_FINDING, Reference, WindowCounts, judge, severity
from otel_ml.console.storage._metric_points import Point, Span, increases, latest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

HOURS: Final = 24
"""Length of the range of the API."""
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


class _ModelColumn(NamedTuple):
    """A column of a model; missing values and violations carry no profile."""

    model: tuple[str, ...]
    name: str


@dataclass
class _Figures:
    """Sums over the replicas, by column, or by column and profile."""

    bins: dict[tuple[_ModelColumn, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Values in each bin."""
    found: dict[_ModelColumn, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Values by finding."""
    shares: dict[tuple[_ModelColumn, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Share of each bin in the reference."""
    expected: dict[tuple[_ModelColumn, str], dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    """Expected share by finding."""
    sizes: dict[tuple[_ModelColumn, str], tuple[float, bool]] = field(default_factory=dict)
    """Values in the reference, and whether the feature is periodic."""


def features(cursor: duckdb.DuckDBPyConnection, span: Span) -> list[dict[str, Any]]:
    """Returns the features with a reference, the most severe verdict first; `psi` is None without values."""
    found = features_over_time(cursor, span)[0]
    return sorted(found, key=lambda row: severity(row["verdict"], row["psi"]))


def features_over_time(
    cursor: duckdb.DuckDBPyConnection, span: Span, edges: Sequence[int] = ()
) -> list[list[dict[str, Any]]]:
    """Returns the features in each period; periods after the first begin at the edges."""
    periods = [_Figures() for _ in range(len(edges) + 1)]
    for point in increases(cursor, _COUNTERS, span, edges):
        _add_point(periods[point.period], point)
    for point in latest(cursor, _GAUGES, span):
        for figures in periods:
            _add_point(figures, point)
    return [[_row(figures, *key) for key in figures.sizes] for figures in periods]


def _add_point(figures: _Figures, point: Point) -> None:
    default = {semconv.FEATURE_NAME: semconv.LABEL_FEATURE} if point.name == semconv.EVAL_LABEL_BIN.name else {}
    attributes = {**default, **point.attributes}
    if semconv.FEATURE_NAME in attributes:
        model = tuple(str(attributes.get(key, "")) for key in _IDENTITY)
        column = _ModelColumn(model, str(attributes[semconv.FEATURE_NAME]))
        _add(figures, point.name, attributes, column, point.value)


def _add(figures: _Figures, name: str, attributes: Mapping[str, Any], column: _ModelColumn, value: float) -> None:
    key = (column, str(attributes.get(semconv.PROFILE_ID, "")))
    bin_, finding = str(attributes.get(semconv.FEATURE_BIN, "")), str(attributes.get(semconv.FEATURE_FINDING, ""))
    if name == semconv.FEATURE_REFERENCE_SIZE.name:
        figures.sizes[key] = (value, attributes.get(semconv.FEATURE_PERIODIC) == "true")
    elif name == semconv.FEATURE_REFERENCE_SHARE.name:
        figures.shares[key][bin_] = value
    elif name == semconv.FEATURE_EXPECTED_SHARE.name:
        figures.expected[key][finding] = value
    elif name in {semconv.FEATURE_VALUES.name, semconv.EVAL_LABEL_BIN.name}:
        _sum(figures.bins[key], bin_, value)
        if bin_ == semconv.UNSEEN:
            _sum(figures.found[column], semconv.UNSEEN_CATEGORIES, value)
    elif name == semconv.FEATURE_MISSING.name:
        _sum(figures.found[column], semconv.MISSING, value)
    elif attributes.get(semconv.RULE_NAME) in _FINDING_OF_RULE:
        _sum(figures.found[column], _FINDING_OF_RULE[attributes[semconv.RULE_NAME]], value)


def _sum(sums: dict[str, float], key: str, value: float) -> None:
    sums[key] = sums.get(key, 0.0) + value


def _row(figures: _Figures, column: _ModelColumn, profile: str) -> dict[str, Any]:
    shares, bins = _merge_unseen(figures.shares[column, profile]), _merge_unseen(figures.bins[column, profile])
    size, periodic = figures.sizes[column, profile]
    reference = Reference(list(shares.values()), size, figures.expected[column, profile], periodic)
    window = WindowCounts([bins.get(label, 0.0) for label in shares], figures.found[column])
    judgement = judge(reference, window)
    name, version, role = column.model
    return {
        "model": name,
        "version": version,
        "role": role,
        "profile": profile,
        "feature": column.name,
        "verdict": judgement.verdict,
        "findings": list(judgement.findings),
        "rows": window.rows,
        "values": window.values,
        "psi": judgement.psi,
        "psi_noise": judgement.psi_noise,
        "shares": {finding: asdict(figure) for finding, figure in judgement.shares.items()},
    }


def _merge_unseen(by_bin: Mapping[str, float]) -> dict[str, float]:
    """Adds the bin of unseen categories to that of other ones."""
    merged = {label: value for label, value in by_bin.items() if label != semconv.UNSEEN}
    if semconv.UNSEEN in by_bin:
        merged[semconv.OTHER] = merged.get(semconv.OTHER, 0.0) + by_bin[semconv.UNSEEN]
    return merged
