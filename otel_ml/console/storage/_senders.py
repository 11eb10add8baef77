"""The ledger of each sender: what it produced, what became of it, as the sender itself exports it."""

# ruff: noqa: S608 - names of columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._metric_points import REAL
from otel_ml.console.storage._queries import fetch, moment, parse

if TYPE_CHECKING:
    import duckdb

_FIGURES: Final = {
    semconv.EXPORT_PRODUCED.name: "produced",
    semconv.EXPORT_DELIVERED.name: "delivered",
    semconv.EXPORT_REJECTED.name: "rejected",
    semconv.EXPORT_IN_FLIGHT.name: "in_flight",
}
_LIMIT: Final = 20_000


def senders(cursor: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The newest figures of each sender, the one with the newest first.

    For each signal: produced = delivered + rejected + dropped + in flight.
    """
    names = [*_FIGURES, semconv.EXPORT_DROPPED.name]
    found = fetch(
        cursor,
        "select name, resource, service_name, any_value(attributes) as attributes, max(time_ns) as time_ns, "
        f"arg_max(value, time_ns) as value from points where name in (select unnest(?::varchar[])) and {REAL} "
        "group by name, series, resource, service_name order by time_ns limit ?",
        [names, _LIMIT],
    )
    known: dict[str, dict[str, Any]] = {}
    for row in found:
        attributes, resource = parse(row["attributes"]) or {}, parse(row["resource"]) or {}
        sender = known.setdefault(
            row["resource"],
            {
                "service_name": row["service_name"],
                "instance": resource.get(semconv.SERVICE_INSTANCE_ID),
                "time": None,
                "signals": {},
            },
        )
        sender["time"] = moment(row["time_ns"])
        signal = str(attributes.get(semconv.SIGNAL))
        figures = sender["signals"].setdefault(signal, dict.fromkeys(_FIGURES.values()) | {"dropped": {}})
        count = None if row["value"] is None else int(row["value"])
        if row["name"] in _FIGURES:
            figures[_FIGURES[row["name"]]] = count
        elif count:
            figures["dropped"][str(attributes.get(semconv.DROP_REASON))] = count
    return {"senders": sorted(known.values(), key=lambda sender: str(sender["time"]), reverse=True)}
