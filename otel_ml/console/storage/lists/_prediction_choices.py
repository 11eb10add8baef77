"""What a list of predictions can be narrowed to: the values that the newest events have."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage.lists._prediction_filter import PredictionFilter

_EVENTS: Final = 5_000
_BODIES: Final = 50
_VALUES: Final = 50
_COLUMNS: Final = {
    "version": "version",
    "role": "role",
    "class": "predicted_class",
    "error_type": "error_type",
    "service": "service_name",
}


def choices(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> dict[str, list[str]]:
    """The values by the name of the parameter, and the names of features under `feature`."""
    events = wanted.events()
    lists = ", ".join(f'list(distinct {column}) as "{name}"' for name, column in _COLUMNS.items())
    newest = f"from predictions where {events.where} order by place_ns desc limit ?"
    columns = ", ".join(_COLUMNS.values())
    found = fetch(cursor, f"select {lists} from (select {columns} {newest})", [*events.values, _EVENTS])[0]
    known = {name: sorted(filter(None, values or ()))[:_VALUES] for name, values in found.items()}
    return known | {"feature": _features(fetch(cursor, f"select body {newest}", [*events.values, _BODIES]))}


def _features(events: list[dict[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for event in events:
        content = parse(event["body"])
        rows = content.get("rows", [content]) if isinstance(content, dict) else []
        for row in rows[:1] if isinstance(rows, list) else []:
            features = row.get("features") if isinstance(row, dict) else None
            names |= dict.fromkeys(features if isinstance(features, dict) else ())
    return list(names)[:_VALUES]
