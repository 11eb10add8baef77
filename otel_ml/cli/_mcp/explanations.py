"""The answers about one prediction and one trace."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from otel_ml.cli._console.client import ConsoleClient, ConsoleRefusal
from otel_ml.cli._mcp.arguments import Given, Pairs, page, pairs
from otel_ml.cli._terminal import CommandError

_SHOWN_SPANS: Final = 60
_SHOWN_LOGS: Final = 40
_ERROR: Final = 2
"""The status of a failed span."""
_NO_SPANS: Final[dict[str, Any]] = {"spans": [], "truncated": False}


def explain_prediction(console: ConsoleClient, given: Given) -> dict[str, Any]:
    """Answers with one prediction in full."""
    (wanted,) = given.pop("prediction_id")
    path, of_version = f"/predictions/{quote(wanted, safe='')}", pairs(given)
    found = _found(
        console, f"/api{path}", of_version, "no such prediction: it has not arrived, or retention has deleted it"
    )
    event, versions = found["event"], found["versions"]
    placed = {row["feature"]: row for row in found["training"]}
    others = [
        {"feature": name, "value": value} for name, value in (event["features"] or {}).items() if name not in placed
    ]
    body = event["body"] if isinstance(event["body"], dict) else {}
    return {
        "page": page(console, path, of_version),
        "prediction": found["prediction"],
        "versions": versions if len(versions) > 1 else None,
        "output": body.get("prediction"),
        "exceptions": found["exceptions"],
        "withheld": found["withheld"],
        "features": [*placed.values(), *others],
        "row_of_batch": found["row"],
        "rows": event["rows"] if found["row"] is None else None,
        "labels": found["labels"] if event["rows"] else None,
        **_trace(found, found["trace"] or _NO_SPANS),
        "neighbours": found["neighbours"],
    }


def explain_request(console: ConsoleClient, given: Given) -> dict[str, Any]:
    """Answers with one trace in full."""
    (wanted,) = given["trace_id"]
    path = f"/traces/{quote(wanted, safe='')}"
    found = _found(console, f"/api{path}", [], "no such trace: it was not sampled, has not arrived, or was deleted")
    return {
        "page": page(console, path),
        "exceptions": found["exceptions"],
        "predictions": found["predictions"],
        "predictions_left_out": "more" if found["predictions_truncated"] else None,
        **_trace(found, found),
    }


def _found(console: ConsoleClient, path: str, query: Pairs, unknown: str) -> dict[str, Any]:
    try:
        return console.json(path, query)
    except ConsoleRefusal as refusal:
        if refusal.status == 404:
            raise CommandError(unknown) from refusal
        raise


def _trace(found: dict[str, Any], trace: dict[str, Any]) -> dict[str, Any]:
    """Returns the spans and log lines without what is said elsewhere, and how many are left out."""
    spans, logs = _worst(trace["spans"]), found["logs"][:_SHOWN_LOGS]
    return {
        "spans": [_span(span) for span in spans],
        "exceptions_left_out": "more" if found["exceptions_truncated"] else None,
        "spans_left_out": _left_out(trace["spans"], spans, is_cut=trace["truncated"]),
        "logs": [
            {"time": line["time"], "level": line["severity_text"], "text": line["body"], "attributes": _own(line)}
            for line in logs
        ],
        "logs_left_out": _left_out(found["logs"], logs, is_cut=found["logs_truncated"]),
    }


def _worst(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the spans that are shown, in their order: of many the failed ones before the others."""
    chosen = sorted(range(len(spans)), key=lambda place: (spans[place]["status"] != _ERROR, place))[:_SHOWN_SPANS]
    return [spans[place] for place in sorted(chosen)]


def _span(span: dict[str, Any]) -> dict[str, Any]:
    names = ("span_id", "parent_span_id", "name", "service_name", "time", "duration", "attributes")
    failed = {"error": span["status_message"] or True} if span["status"] == _ERROR else {}
    return {name: span[name] for name in names if span[name] not in (None, "", {})} | failed


def _left_out(known: list[Any], shown: list[Any], *, is_cut: bool) -> str | None:
    number = len(known) - len(shown)
    if is_cut:
        return f"more than {number}" if number else "more"
    return str(number) if number else None


def _own(line: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the attributes of a log line without its place in the code and the exception, which the answer has."""
    found = line["attributes"] or {}
    return {name: each for name, each in found.items() if not name.startswith(("code.", "exception."))} or None
