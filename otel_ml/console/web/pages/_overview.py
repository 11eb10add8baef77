"""Every model and every service, and what needs attention first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.performance._summary import summaries
from otel_ml.console.storage import _counted, _feature_verdicts, _services, _traffic
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.web._attention import alerts
from otel_ml.console.web.pages._predictions import address

if TYPE_CHECKING:
    import duckdb
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.storage._time_range import TimeRange
    from otel_ml.console.web._frame import Frame


_SHOWN: Final = 30
"""Models and services of one page."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def overview(request: Request) -> Response:
        view = (await frame.view(request)).of(None)
        span = Span(None, view.window.since_ns, None if view.is_live else view.window.until_ns)
        models = await frame.reader.read(_models, view.window, span)
        services = await frame.reader.read(_served, view.window)
        found = alerts(models, services)
        places = {alert.subject: place for place, alert in reversed([*enumerate(found)])}
        return await frame.render(
            request, "overview.html", view, title="Overview", alerts=found, address=address(request), shown=_SHOWN,
            rows=sorted(models, key=lambda row: places.get(row["model"], len(found))), services=services,
        )  # fmt: skip

    return [frame.route("/", overview)]


def _models(cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> list[dict[str, Any]]:
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
            **_main_figures(name, versions.get(name, []), figures),
        }
        for name in sorted({*traffic, *features, *(each.model for each in figures)})
        if name
    ]


def _by_model(cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> dict[str, dict[str, Any]]:
    """Returns the traffic of each model from its events; from its counters if most predictions have no event."""
    traffic = {row["model"]: row for row in _traffic.by_model(cursor, window)}
    steps = series(_traffic.over_time(cursor, window), window, "model", "rows")
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


def _main_figures(name: str, versions: list[dict[str, Any]], figures: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures of the primary version with the most calls; without events, of any primary one."""
    own = {identity: each for identity, each in figures.items() if identity.model == name}
    calls = {(row["version"] or "", row["role"] or ""): row["calls"] for row in versions}
    best = max(
        own,
        key=lambda identity: (identity.role in {"", "primary"}, calls.get((identity.version, identity.role), 0)),
        default=None,
    )
    return own[best] if best else {"realised": None, "estimate": None}


def _served(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    steps = series(_services.requests_over_time(cursor, window), window, "service", "requests")
    return [row | {"steps": steps.get(row["service"], [])} for row in _services.services(cursor, window)]


def series(rows: list[dict[str, Any]], window: TimeRange, key: str, value: str) -> dict[str, list[float]]:
    """Returns the values of each key a second in every step of a range; 0 where there is none."""
    starts = window.starts
    found: dict[str, list[float]] = {}
    for row in rows:
        if 0 <= row["step"] < len(starts):
            each = found.setdefault(row[key], [0.0] * len(starts))
            each[row["step"]] += row[value] / window.seconds(starts[row["step"]])
    return found
