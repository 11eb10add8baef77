"""The list of predictions: newest first, page by page without end; of a batch the rows that fit."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import PREDICTION_COLUMNS, fetch, prediction_answer
from otel_ml.console.storage.lists._batch_rows import ROWS_LISTED, bodies, fitting_rows
from otel_ml.console.storage.lists._conditions import Place, slice_end
from otel_ml.console.storage.lists._prediction_filter import ITEM
from otel_ml.console.storage.lists._segment_filter import with_segment

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage.lists._prediction_filter import PredictionFilter

ROWS_ANSWERED: Final = 20
"""Rows of one batch in an answer."""
_SLICES: Final = (10_000, 40_000)
"""Predictions in which a page looks for a rare one, first and then; the next page looks further."""
_WEIGHT: Final = "greatest(least(coalesce(batch_size, 1), 100), 1)"
"""The rows that an event has."""
_TRUTH: Final = (
    "truth as (select page.key, arg_max(label, labels.time_ns) as label, "
    "arg_max(correct, labels.time_ns) as correct, max(labels.time_ns) as labelled_ns from page join labels "
    "on labels.prediction_id = page.prediction_id and "
    "(labels.trace_id is null or page.trace_id is null or labels.trace_id = page.trace_id) group by page.key)"
)
_ROW_TRUTH: Final = (
    "row_truth as (select page.key, labels.prediction_id as id, arg_max(label, labels.time_ns) as label, "
    "arg_max(correct, labels.time_ns) as correct, max(labels.time_ns) as labelled_ns from page join labels "
    "on labels.trace_id = page.trace_id and labels.span_id = page.span_id where page.batch_size is not null "
    "group by page.key, labels.prediction_id), "
    "batches as (select key, count(*) as labelled_rows, count(*) filter (not correct) as wrong_rows "
    "from row_truth group by key)"
)


def predictions(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> dict[str, Any]:
    """One page of predictions with their labels; `next` is the place of the next page, None on the last one.

    A page for a rare kind can have fewer rows than its limit, even none, and still be followed by another.
    """
    found, following = page(cursor, wanted)
    contents = bodies(cursor, [row["key"] for row in found if row["fits"]])
    rows = [answer(row, contents.get(row["key"])) for row in found]
    return {"predictions": rows, "next": None if following is None else str(following)}


def page(
    cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter, slices: tuple[int, ...] = ()
) -> tuple[list[dict[str, Any]], Place | None]:
    """The rows of one page as they are stored, and the place of the next page.

    Rare ones are looked for in `slices` of predictions, one after the other, until there are enough.
    """
    wanted = with_segment(cursor, wanted)
    upwards = wanted.before is not None
    found: list[dict[str, Any]] = []
    following: Place | None = None
    for size in (slices or _SLICES) if wanted.is_about_rows else (None,):
        last = None
        if size is not None:
            last = slice_end(cursor, "predictions", wanted.events(), size, _WEIGHT)
        found += _read(cursor, wanted, last, wanted.limit + 1 - len(found))
        following = None if last is None else Place.above(last) if upwards else Place.below(last)
        if len(found) > wanted.limit or last is None:
            break
        wanted = replace(wanted, before=following) if upwards else replace(wanted, after=following)
    if len(found) > wanted.limit:
        shown = found[wanted.limit - 1]
        following = Place(shown["place_ns"], str(shown["key"]))
    return found[: wanted.limit], following


def _read(
    cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter, last: int | None, limit: int
) -> list[dict[str, Any]]:
    events, alone, row, truths = wanted.events(), wanted.alone(), wanted.row(), wanted.truths()
    events.add("place_ns <= ?" if events.is_upwards else "place_ns >= ?", last)
    if alone.values:
        any_row = f"len([{ITEM} for {ITEM} in json_extract(body, '$.rows[*]') if {row.where}]) > 0"
        events.add(f"case when batch_size is null then {alone.where} else {any_row} end", *alone.values, *row.values)
    order = f"{events.order} limit ?"
    # labels can say that an event is not listed
    is_complete = truths.where == "true"
    page = (
        f"page as materialized (select key, place_ns, {PREDICTION_COLUMNS}, case when batch_size is not null and ? "
        f"then body end as body from predictions where {events.where} {order if is_complete else ''})"
    )
    values = [wanted.is_about_rows, *events.values, *([limit] if is_complete else [])]
    fits, condition = "fit as (select null::uuid as key, null as fitting, null as fits)", "true"
    if wanted.is_about_rows:
        fits, fit_values = _fits(wanted)
        condition = f"case when batch_size is null then {truths.where} else fitting > 0 end"
        values += [*fit_values, *truths.values]
    return fetch(
        cursor,
        f"with {page}, {_TRUTH}, {_ROW_TRUTH}, {fits} select page.* exclude (body), label, correct, labelled_ns, "
        "labelled_rows, wrong_rows, fitting, fits from page left join truth using (key) "
        f"left join batches using (key) left join fit using (key) where {condition} {order}",
        [*values, limit],
    )


def _fits(wanted: PredictionFilter) -> tuple[str, list[Any]]:
    """The rows of batches that fit, with their labels: the SQL and its parameters.

    A labelled row that is not in the event fits too, if nothing is asked of what only the event has.
    """
    row, truths = wanted.row(), wanted.truths()
    has_label = truths.where != "true" and wanted.truth != "unlabelled"
    among = f"and key in (select key from row_truth where {truths.where})" if has_label else ""
    sql = (
        f"listed as (select key, prediction_id, failed, unnest(items) as {ITEM}, "
        "generate_subscripts(items, 1) - 1 as place from (select key, prediction_id, failed, "
        f"json_extract(body, '$.rows[*]') as items from page where batch_size is not null {among})), "
        f"named as (select *, case json_type({ITEM}, '/id') when 'VARCHAR' then json_extract_string({ITEM}, '/id') "
        "else prediction_id || '.' || place end as id from listed), "
        "fit as (select key, count(*) as fitting, list(struct_pack(place := place, id := id, label := label, "
        f"correct := correct, labelled_ns := labelled_ns) order by place)[:{ROWS_LISTED}] as fits "
        f"from named {'left' if row.values else 'full'} join row_truth using (key, id) "
        f"where {row.where} and {truths.where} group by key)"
    )
    return sql, [*(truths.values if has_label else ()), *row.values, *truths.values]


def answer(row: dict[str, Any], content: Any) -> dict[str, Any]:
    """A row as the API shows it; of a batch the first rows that fit, if rows were asked for."""
    fitting = None
    if row["fits"]:
        first = [
            {"id": each.id, "row": each.place, "class": each.outcome, "value": each.value, "score": each.score,
             "features": each.features, "label": each.label}
            for each in fitting_rows(row, content)[:ROWS_ANSWERED]
        ]  # fmt: skip
        fitting = {"count": row["fitting"], "rows": first}
    labelled, wrong = row["labelled_rows"], row["wrong_rows"]
    left_out = {"place_ns", "labelled_rows", "wrong_rows", "fitting", "fits"}
    return prediction_answer({name: value for name, value in row.items() if name not in left_out}) | {
        "row_labels": None if labelled is None else {"labelled": labelled, "wrong": wrong},
        "fitting_rows": fitting,
    }
