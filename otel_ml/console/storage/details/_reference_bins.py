"""How the values of each feature were distributed in training, as the service exported it."""

# ruff: noqa: S608 - names of columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._metric_points import REAL
from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    import duckdb

_BINS: Final = 20_000
_OUTPUTS: Final = frozenset({semconv.PREDICTION_FEATURE, semconv.LABEL_FEATURE})


def reference_bins(
    cursor: duckdb.DuckDBPyConnection, model: str | None, version: str | None
) -> dict[str, dict[str, float]]:
    """The share of each bin of each feature in the training of a version; empty without a reference."""
    found = fetch(
        cursor,
        "select attributes, arg_max(value, time_ns) as share, max(time_ns) as newest_ns from points "
        f"where name = ? and model = ? and {REAL} group by attributes order by newest_ns desc limit ?",
        [semconv.FEATURE_REFERENCE_SHARE.name, model, _BINS],
    )
    bins: dict[str, dict[str, float]] = {}
    profiles: dict[str, Any] = {}
    for row in found:
        attributes = parse(row["attributes"]) or {}
        feature, label = attributes.get(semconv.FEATURE_NAME), attributes.get(semconv.FEATURE_BIN)
        is_of_version = attributes.get(semconv.MODEL_VERSION) == version and semconv.REFERENCE not in attributes
        if not isinstance(feature, str) or not isinstance(label, str) or not is_of_version or feature in _OUTPUTS:
            continue
        # of several profiles the one that was exported last
        profile = attributes.get(semconv.PROFILE_ID)
        if profiles.setdefault(feature, profile) == profile and row["share"] is not None:
            bins.setdefault(feature, {})[label] = row["share"]
    return {feature: dict(sorted(shares.items())) for feature, shares in bins.items()}
