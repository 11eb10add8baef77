"""How long labels took, and whether predictions with a late label are wrong more often."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._figures.intervals import share
from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage.lists._conditions import Conditions, slice_end

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._time_range import TimeRange

LABELS: Final = 10_000
"""The newest ones that are read."""
_BAND: Final = " + ".join(f"(lag > {bound})::int" for bound in semconv.LAG_BUCKETS)
_PAIRS: Final = (
    "select given.time_ns - call.time_ns as took, correct, label, value from given join predictions as call "
    "on given.prediction_id = call.prediction_id "
    "and (given.trace_id is null or call.trace_id is null or given.trace_id = call.trace_id) "
    "where call.model = ? and batch_size is null union all "
    "select given.time_ns - call.time_ns, correct, null, null from given join predictions as call "
    "on given.trace_id = call.trace_id and given.span_id = call.span_id "
    "where call.model = ? and batch_size is not null"
)
"""Labels with their predictions; the label of a batch row has the span of its batch."""


def lags(
    cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str, version: str, role: str
) -> list[dict[str, Any]]:
    """Returns labels and accuracy, or mean absolute error, by time from the prediction to its label."""
    wanted = Conditions()
    for column, value in (("model", model), ("version", version), ("role", role)):
        wanted.add(f"{column} = ?", value or None)
    wanted.add_window(window.since_ns, window.until_ns)
    wanted.add("place_ns >= ?", slice_end(cursor, "labels", wanted, LABELS))
    found = fetch(
        cursor,
        "with given as materialized (select prediction_id, trace_id, span_id, time_ns, correct, label "
        f"from labels where {wanted.where}), pair as ({_PAIRS}), "
        "timed as (select took / 1e9 as lag, correct, abs(try_cast(label as double) - value) as error from pair) "
        f"select {_BAND} as band, count(*) as labels, count(correct) as compared, "
        "count(*) filter (correct) as correct, avg(error) filter (isfinite(error)) as mae "
        "from timed group by band order by band",
        [*wanted.values, model, model],
    )
    return [_row(row) for row in found]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    right = share(row["correct"], row["compared"])
    bound = semconv.LAG_BUCKETS[row["band"]] if row["band"] < len(semconv.LAG_BUCKETS) else None
    figure = "accuracy" if row["compared"] else "mae"
    return {
        "up_to": bound,
        "labels": row["labels"],
        "figure": figure,
        "value": right.value if row["compared"] else row["mae"],
        "interval": right.interval,
    }
