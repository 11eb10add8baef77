"""The verdict on each feature in a time range, from the stored counts, by the formulas of the recording rules."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._distances import psi_parts
from otel_ml._verdicts import Reference, WindowCounts, judge, severity
from otel_ml.console.storage._feature_counts import counts_over_time, total_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from otel_ml.console.storage._feature_counts import FeatureCounts, ModelColumn
    from otel_ml.console.storage._metric_points import Span

HOURS: Final = 24
"""Length of the range of the API."""
_SHARES: Final = (semconv.MISSING, semconv.INVALID, semconv.UNSEEN_CATEGORIES, semconv.OUT_OF_RANGE)
"""The order in which pages and API show the shares: that of stored points differs from call to call."""


def features(cursor: duckdb.DuckDBPyConnection, span: Span) -> list[dict[str, Any]]:
    """Returns the features with a reference, the most severe verdict first; `psi` is None without values."""
    return [row for row, _ in _ranked(total_counts(cursor, span))]


def features_with_bins(
    cursor: duckdb.DuckDBPyConnection, span: Span, edges: Sequence[int], shown: int, chosen: str | None = None
) -> list[dict[str, Any]]:
    """Returns the same; the first ones and a chosen one have `bins`, and `periods` with their rows.

    Args:
        cursor: Of the store.
        span: What is read.
        edges: The moments at which periods after the first one begin.
        shown: How many of the first ones.
        chosen: Name of a feature.
    """
    total = total_counts(cursor, span)
    found = _ranked(total)
    detailed = [(row, key) for place, (row, key) in enumerate(found) if place < shown or row["feature"] == chosen]
    names = [*{row["feature"]: None for row, _ in detailed}]
    periods = counts_over_time(cursor, span, edges, total, names)
    for row, key in detailed:
        row["bins"] = _bins(total, *key)
        row["periods"] = [_row(counts, *key) for counts in periods]
    return [row for row, _ in found]


def _ranked(counts: FeatureCounts) -> list[tuple[dict[str, Any], tuple[ModelColumn, str]]]:
    return sorted(((_row(counts, *key), key) for key in counts.sizes), key=_rank)


def _rank(pair: tuple[dict[str, Any], tuple[ModelColumn, str]]) -> tuple[Any, ...]:
    """Returns what a feature is sorted by; equal ones stand by name, since stored points have no order."""
    row, (column, profile) = pair
    return *severity(row["verdict"], row["psi"]), column.name, column.model, profile


def _bins(counts: FeatureCounts, column: ModelColumn, profile: str) -> list[dict[str, Any]]:
    """Returns live and expected share of each bin with its part of the PSI: ranges in order, categories by share."""
    shares, bins = _merge_unseen(counts.shares[column, profile]), _merge_unseen(counts.bins[column, profile])
    values = [bins.get(label, 0.0) for label in shares]
    whole = sum(values)
    found = [
        {"bin": label, "values": times, "share": times / whole if whole else None, "expected": expected, "psi": part}
        for (label, expected), times, part in zip(
            shares.items(), values, psi_parts(values, list(shares.values())), strict=True
        )
    ]
    if semconv.OTHER in shares:
        return sorted(found, key=lambda row: (row["bin"] == semconv.OTHER, -row["expected"], row["bin"]))
    return sorted(found, key=lambda row: row["bin"])


def _row(counts: FeatureCounts, column: ModelColumn, profile: str) -> dict[str, Any]:
    shares, bins = _merge_unseen(counts.shares[column, profile]), _merge_unseen(counts.bins[column, profile])
    size, periodic = counts.sizes[column, profile]
    reference = Reference(list(shares.values()), size, counts.expected[column, profile], periodic)
    window = WindowCounts([bins.get(label, 0.0) for label in shares], counts.found[column])
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
        "shares": {finding: asdict(judgement.shares[finding]) for finding in _SHARES if finding in judgement.shares},
    }


def _merge_unseen(by_bin: Mapping[str, float]) -> dict[str, float]:
    """Adds the bin of unseen categories to that of other ones."""
    merged = {label: value for label, value in by_bin.items() if label != semconv.UNSEEN}
    if semconv.UNSEEN in by_bin:
        merged[semconv.OTHER] = merged.get(semconv.OTHER, 0.0) + by_bin[semconv.UNSEEN]
    return merged
