"""What the overview says of every model and every service in a range."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from otel_ml.console.performance._summary import summaries
from otel_ml.console.storage import _counted, _feature_verdicts, _traffic
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage._queries import moment
from otel_ml.console.storage._time_range import TimeRange
from otel_ml.console.storage.lists import _services
from otel_ml.console.web._attention import alerts, needs_attention

if TYPE_CHECKING:
    import duckdb


def overview(cursor: duckdb.DuckDBPyConnection, since_ns: int, until_ns: int | None = None) -> dict[str, Any]:
    """Returns the overview for the API; without an end until now."""
    end_ns = time.time_ns() if until_ns is None else until_ns
    window = TimeRange(since_ns, end_ns, max(1, end_ns - since_ns))
    models = model_rows(cursor, window, Span(None, since_ns, until_ns))
    services = service_rows(cursor, window)
    for row in (*models, *services):
        row.pop("steps")
        row["latency"] = dict(zip(("p50", "p95", "p99"), row["latency"] or (), strict=False)) or None
    for row in models:
        row["features"] = row.pop("known")
    for row in services:
        row["newest"] = moment(row.pop("newest_ns"))
    return {
        "attention": [alert._asdict() for alert in alerts(models, services, _services.late_records(cursor, window))],
        "models": models,
        "services": services,
        "services_truncated": len(services) >= _services.SERVICES_LIMIT,
    }


def model_rows(cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> list[dict[str, Any]]:
    """Returns a row for each model with traffic or a reference in the range, by name."""
    traffic = _by_model(cursor, window, span)
    features: dict[str, list[dict[str, Any]]] = {}
    for row in _feature_verdicts.features(cursor, span):
        features.setdefault(row["model"], []).append(row)
    figures = summaries(cursor, span)
    versions: dict[str, list[dict[str, Any]]] = {}
    for row in _traffic.versions(cursor, window):
        versions.setdefault(row["model"], []).append(row)
    nothing: dict[str, Any] = {"calls": 0, "rows": 0, "errors": 0, "latency": None, "steps": []}
    return [
        {
            "model": name,
            **(traffic.get(name) or nothing),
            "versions": versions.get(name, []),
            **verdicts(features.get(name, [])),
            **main_figures(name, versions.get(name, []), figures),
        }
        for name in sorted({*traffic, *features, *(each.model for each in figures)})
        if name
    ]


def _by_model(cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> dict[str, dict[str, Any]]:
    """Returns the traffic of each model from its events; from its counters if most predictions have no event."""
    traffic = {row["model"]: row for row in _traffic.by_model(cursor, window)}
    steps = _series(_traffic.over_time(cursor, window), window, "model", "rows")
    found = {name: row | {"steps": steps.get(name, [])} for name, row in traffic.items()}
    for name, row in _counted.counted(cursor, window, span).items():
        if _counted.is_sample(found.get(name), row):
            found[name] = row
    return found


def verdicts(features: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the worst verdict on a model's data, how many features it is of, and the changed ones in any version."""
    changed: dict[str, str] = {}
    for row in features:
        if row["findings"]:
            changed.setdefault(row["feature"], row["verdict"])
    return {
        "verdict": features[0]["verdict"] if features else None,
        "known": len({row["feature"] for row in features}),
        "changed": changed,
    }


def main_figures(name: str, versions: list[dict[str, Any]], figures: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures of the primary version with the most calls, of those that need attention if some do.

    A bad version has few calls when it is new, and must not hide behind the one that it replaces. Without events it is
    any primary one. `figures_of` names it if there are several.
    """
    own = {identity: each for identity, each in figures.items() if identity.model == name}
    calls = {(row["version"] or "", row["role"] or ""): row["calls"] for row in versions}
    best = max(
        own,
        key=lambda identity: (
            identity.role in {"", "primary"},
            needs_attention(**own[identity]),
            calls.get((identity.version, identity.role), 0),
        ),
        default=None,
    )
    if best is None:
        return {"realised": None, "estimate": None, "figures_of": None}
    of = {"version": best.version, "role": best.role} if len(own) > 1 else None
    return {**own[best], "figures_of": of}


def service_rows(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    steps = _series(_services.requests_over_time(cursor, window), window, "service", "requests")
    return [row | {"steps": steps.get(row["service"], [])} for row in _services.services(cursor, window)]


def _series(rows: list[dict[str, Any]], window: TimeRange, key: str, value: str) -> dict[str, list[float]]:
    """Returns the values of each key a second in every step of a range; 0 where there is none."""
    starts = window.starts
    found: dict[str, list[float]] = {}
    for row in rows:
        if 0 <= row["step"] < len(starts):
            each = found.setdefault(row[key], [0.0] * len(starts))
            each[row["step"]] += row[value] / window.seconds(starts[row["step"]])
    return found
