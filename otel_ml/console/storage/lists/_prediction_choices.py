"""What a list of predictions can be narrowed to: the values that the newest events have."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.storage._queries import fetch, parse
from otel_ml.console.storage.lists._batch_rows import all_rows

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
    names: dict[str, None] = {}
    classes = set(found["class"] or ())
    for event in fetch(cursor, f"select body, batch_size, prediction_id {newest}", [*events.values, _BODIES]):
        content = parse(event["body"])
        rows = all_rows(event, content)
        classes |= {row.outcome for row in rows or ()}
        first = rows[0].features if rows else content.get("features") if isinstance(content, dict) else None
        names |= dict.fromkeys(first if isinstance(first, dict) else ())
    known = {
        name: sorted(filter(None, values or ()))[:_VALUES] for name, values in (found | {"class": classes}).items()
    }
    return known | {"feature": list(names)[:_VALUES]}
