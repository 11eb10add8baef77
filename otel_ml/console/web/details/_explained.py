"""One prediction or one trace with what its page makes of it: exceptions, training beside it, what is withheld."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml.console.storage import _prediction_detail
from otel_ml.console.storage.details._reference_bins import reference_bins
from otel_ml.console.storage.details._trace_detail import trace_detail
from otel_ml.console.storage.lists import _neighbours
from otel_ml.console.storage.lists._conditions import Place
from otel_ml.console.web.details._exceptions import ANSWERED, ShownException, exceptions
from otel_ml.console.web.details._prediction_parts import prediction_parts

if TYPE_CHECKING:
    import duckdb


def prediction(cursor: duckdb.DuckDBPyConnection, wanted_id: str, **of: str | None) -> dict[str, Any] | None:
    """A prediction with its event, trace, log lines and labels; None if it has not arrived."""
    found = _prediction_detail.prediction(cursor, wanted_id, **of)
    if found is None:
        return None
    own, spans = found["prediction"], found["trace"]["spans"] if found["trace"] else []
    parts = prediction_parts(found, reference_bins(cursor, own["model"], own["version"]))
    beside = _neighbours.of_version(cursor, own, Place(*found.pop("place")))
    return found | {
        "neighbours": {name: row and row["id"] for name, (row, _) in beside.items()},
        "training": [
            {"feature": row.name, "value": row.value, "bin": row.bin, "share": row.share, "remark": row.remark}
            for row in parts["features"]
            if row.bars
        ],
        **_exceptions(spans, found["logs"]),
        "withheld": [{"what": what, "why": why} for what, why in parts["withheld"]],
    }


def trace(cursor: duckdb.DuckDBPyConnection, trace_id: str) -> dict[str, Any] | None:
    """A trace with its predictions and log lines; None if nothing with its id has arrived."""
    found = trace_detail(cursor, trace_id)
    if found is None:
        return None
    spans = found.pop("trace") or {"trace_id": trace_id, "spans": [], "truncated": False}
    return {**spans, **_exceptions(spans["spans"], found["logs"]), **found}


def _exceptions(spans: list[dict[str, Any]], logs: list[dict[str, Any]]) -> dict[str, Any]:
    shown, others = exceptions(spans, logs, ANSWERED)
    return {"exceptions": [_exception(each) for each in shown], "exceptions_truncated": others > 0}


def _exception(shown: ShownException) -> dict[str, Any]:
    return {
        "type": shown.type,
        "message": shown.message,
        "stacktrace": "\n".join(line for line, _ in shown.lines),
        "lines_omitted": shown.omitted,
        "places": shown.places,
        "span_id": shown.span_id,
    }
