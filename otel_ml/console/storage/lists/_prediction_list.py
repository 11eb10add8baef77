"""The list of predictions: filters of every kind, newest first, page by page without end."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import PREDICTION_COLUMNS, fetch, prediction_answer
from otel_ml.console.storage.lists._conditions import Conditions, Place, slice_end

if TYPE_CHECKING:
    import duckdb

_SLICES: Final = (10_000, 40_000)
"""Events in which a page looks for a rare one, first and then; the next page looks further."""
_TRUTHS: Final = {
    "right": "coalesce(correct, labelled_rows > 0 and wrong_rows = 0)",
    "wrong": "coalesce(not correct, wrong_rows > 0)",
    "labelled": "(labelled_ns is not null or labelled_rows > 0)",
    "unlabelled": "labelled_ns is null and labelled_rows is null and not failed",
}
TRUTHS: Final = tuple(_TRUTHS)
_SCORE: Final = "try_cast(json_extract_string({row}, '/score') as double)"


class FeatureCondition(NamedTuple):
    """A comparison with the value of a feature; an empty value stands for a missing one."""

    name: str
    operator: str
    value: str

    def sql(self, row: str) -> tuple[str, list[Any]]:
        """The condition on a row of JSON, with its parameters."""
        path = "/features/" + self.name.replace("~", "~0").replace("/", "~1")
        found = f"json_extract_string({row}, ?)"
        if not self.value:
            return f"{found} is {'not ' if self.operator == '!=' else ''}null", [path]
        if self.operator in {"=", "!="}:
            # 1 and 1.0 are equal, as are texts
            equal = f"coalesce({found} = ? or try_cast({found} as double) = try_cast(? as double), false)"
            return ("not " if self.operator == "!=" else "") + equal, [path, self.value, path, self.value]
        return f"try_cast({found} as double) {self.operator} ?", [path, float(self.value)]


@dataclass(frozen=True)
class PredictionFilter:
    """Selects predictions: newest first, at most `limit`. A batch is one; it is listed if one of its rows fits."""

    limit: int = 100
    model: str | None = None
    version: str | None = None
    role: str | None = None
    service: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    id: str | None = None
    """How the id begins; or `<id>.<i>`, a row of a batch."""
    outcome: str | None = None
    """The predicted class."""
    label: str | None = None
    truth: str | None = None
    """One of `TRUTHS`."""
    failed: bool | None = None
    error_type: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    features: tuple[FeatureCondition, ...] = field(default=())
    after: Place | None = None

    def events(self) -> Conditions:
        """The conditions on columns."""
        found = Conditions()
        for column in ("model", "version", "role", "error_type", "failed"):
            found.add(f"{column} = ?", getattr(self, column))
        found.add("service_name = ?", self.service)
        in_batch = "batch_size is not null and starts_with(?, prediction_id || '.')"
        found.add(f"(starts_with(prediction_id, ?) or {in_batch})", self.id, self.id)
        found.add("duration >= ?", self.min_duration)
        found.add("duration <= ?", self.max_duration)
        found.add_window(self.since_ns, self.until_ns)
        found.add_place(self.after)
        return found

    def content(self) -> Conditions:
        """The conditions on the prediction or on one row of a batch, which are read from the body of the event."""
        found = Conditions()
        alone = self._row("body", "predicted_class", "score")
        in_batch = self._row("row", "json_extract_string(row, '/prediction')", _SCORE.format(row="row"))
        if alone.values:
            each = f"len([row for row in json_extract(body, '$.rows[*]') if {in_batch.where}]) > 0"
            sql = f"case when batch_size is null then {alone.where} else {each} end"
            found.add(sql, *alone.values, *in_batch.values)
        return found

    def _row(self, row: str, outcome: str, score: str) -> Conditions:
        found = Conditions()
        found.add(f"{outcome} = ?", self.outcome)
        found.add(f"{score} >= ?", self.min_score)
        found.add(f"{score} <= ?", self.max_score)
        for feature in self.features:
            sql, values = feature.sql(row)
            found.add(sql, *values)
        return found

    def truths(self) -> Conditions:
        """The conditions on labels."""
        found = Conditions()
        found.add("label = ?", self.label)
        if self.truth is not None:
            found.add(_TRUTHS[self.truth])
        return found


def predictions(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> dict[str, Any]:
    """One page of predictions with their labels; `next` is the place of the next page, None on the last one.

    A page for a rare kind can have fewer rows than its limit, even none, and still be followed by another.
    """
    rows, following = page(cursor, wanted)
    return {"predictions": [answer(row) for row in rows], "next": None if following is None else str(following)}


def page(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> tuple[list[dict[str, Any]], Place | None]:
    """The rows of one page as they are stored, and the place of the next page."""
    found: list[dict[str, Any]] = []
    following: Place | None = None
    is_rare = bool(wanted.content().values) or wanted.truths().where != "true"
    for size in _SLICES if is_rare else (None,):
        oldest = None if size is None else slice_end(cursor, "predictions", wanted.events(), size)
        found += _read(cursor, wanted, oldest, wanted.limit + 1 - len(found))
        following = None if oldest is None else Place.below(oldest)
        if len(found) > wanted.limit or oldest is None:
            break
        wanted = replace(wanted, after=following)
    if len(found) > wanted.limit:
        last = found[wanted.limit - 1]
        following = Place(last["place_ns"], str(last["key"]))
    return found[: wanted.limit], following


def _read(
    cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter, oldest: int | None, limit: int
) -> list[dict[str, Any]]:
    events, content, truths = wanted.events(), wanted.content(), wanted.truths()
    events.add("place_ns >= ?", oldest)
    order = "order by place_ns desc, key limit ?"
    is_complete = truths.where == "true"
    return fetch(
        cursor,
        f"with page as materialized (select key, place_ns, {PREDICTION_COLUMNS} from predictions "
        f"where {events.where} and {content.where} {order if is_complete else ''}), "
        "truth as (select page.key, arg_max(label, labels.time_ns) as label, "
        "arg_max(correct, labels.time_ns) as correct, max(labels.time_ns) as labelled_ns from page join labels "
        "on labels.prediction_id = page.prediction_id and "
        "(labels.trace_id is null or page.trace_id is null or labels.trace_id = page.trace_id) group by page.key), "
        "row_truth as (select page.key, arg_max(correct, labels.time_ns) as correct from page join labels "
        "on labels.trace_id = page.trace_id and labels.span_id = page.span_id where page.batch_size is not null "
        "group by page.key, labels.prediction_id), "
        "batches as (select key, count(*) as labelled_rows, count(*) filter (not correct) as wrong_rows "
        "from row_truth group by key) "
        "select page.*, label, correct, labelled_ns, labelled_rows, wrong_rows from page "
        f"left join truth using (key) left join batches using (key) where {truths.where} {order}",
        [*events.values, *content.values, *([limit] if is_complete else []), *truths.values, limit],
    )


def answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the API shows it."""
    row.pop("place_ns")
    labelled, wrong = row.pop("labelled_rows"), row.pop("wrong_rows")
    return prediction_answer(row) | {"row_labels": None if labelled is None else {"labelled": labelled, "wrong": wrong}}
