"""What the page of one prediction shows: its output, features, rows, and what is not there."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from otel_ml.console.storage._prediction_detail import row_id
from otel_ml.console.web.details._feature_rows import feature_rows, is_opaque

FEATURES_SHOWN: Final = 50
ROWS_SHOWN: Final = 100
_COLUMNS: Final = 6
"""Features of the rows of a batch that have a column of their own."""
_NAMES: Final = 12
_WITHHELD: Final = "withheld:"
"""How a text begins in whose place the service has sent a reason."""


class Row(NamedTuple):
    """One row of a batch."""

    id: str
    output: Any
    score: float | None
    features: dict[str, Any]


def prediction_parts(found: dict[str, Any], reference: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The values of the template."""
    event = found["event"]
    features = event["features"] or {}
    rows = _rows(event["rows"] or [], found["prediction"]["id"])
    shown = feature_rows(features, reference)
    columns = list(dict.fromkeys(name for row in rows[:ROWS_SHOWN] for name in row.features))
    return {
        "found": found,
        "prediction": found["prediction"],
        "row": None if found["row"] is None else rows[found["row"]],
        "row_before": rows[found["row"] - 1].id if found["row"] else None,
        "row_after": rows[found["row"] + 1].id if found["row"] is not None and found["row"] + 1 < len(rows) else None,
        "features": shown[:FEATURES_SHOWN],
        "features_hidden": max(0, len(shown) - FEATURES_SHOWN),
        "has_reference": any(row.bars for row in shown),
        "rows": rows[:ROWS_SHOWN],
        "columns": columns[:_COLUMNS],
        "columns_hidden": max(0, len(columns) - _COLUMNS),
        "rows_hidden": max(0, len(rows) - ROWS_SHOWN) + event["rows_omitted"],
        "unpaired": unpaired_text(event["unpaired"]),
        "labels": {label["prediction_id"]: label for label in found["labels"]},
        "withheld": _withheld(found, features, reference),
    }


def unpaired_text(counts: Any) -> str | None:
    """What a batch has in different numbers, such as ``3 inputs, 2 outputs``; None if its parts go together."""
    if not isinstance(counts, dict):
        return None
    known = [(name, counts.get(name)) for name in ("inputs", "ids", "outputs")]
    return ", ".join(f"{count:,} {name}" for name, count in known if isinstance(count, int))


def _rows(rows: list[dict[str, Any]], batch_id: str) -> list[Row]:
    return [
        Row(row_id(rows, index, batch_id), row.get("prediction"), _score(row.get("score")), _features(row))
        for index, row in enumerate(rows)
    ]


def _features(row: dict[str, Any]) -> dict[str, Any]:
    features = row.get("features")
    return features if isinstance(features, dict) else {}


def _score(given: Any) -> float | None:
    return float(given) if isinstance(given, (int, float)) and not isinstance(given, bool) else None


def _withheld(
    found: dict[str, Any], features: dict[str, Any], reference: dict[str, dict[str, float]]
) -> list[tuple[str, str]]:
    """What the page does not have, and why."""
    event, reasons = found["event"], []
    sensitive = [name for name, shares in reference.items() if name not in features and is_opaque(shares)]
    absent = [name for name in reference if name not in features and name not in sensitive]
    if sensitive:
        reasons.append((_few(sensitive), "sensitive columns; their values never leave the service"))
    if features and absent:
        reasons.append((_few(absent), "the call had no such value, or the event does not carry it"))
    if not features and not event["rows"] and not found["prediction"]["failed"]:
        reasons.append(
            (
                "Features",
                "the event has none: a service exports declared columns unless capture_features says otherwise",
            )
        )
    if event["rows_omitted"]:
        reasons.append(
            (
                f"{event['rows_omitted']:,} rows",
                "an event has the first 100 rows of a batch; metrics and labels have all",
            )
        )
    if _has_withheld_text(found):
        reasons.append(("Messages of exceptions", "a model of the service has sensitive columns, which they may quote"))
    return reasons


def _has_withheld_text(found: dict[str, Any]) -> bool:
    spans = found["trace"]["spans"] if found["trace"] else []
    given = [event["attributes"] for span in spans for event in span["events"] or ()]
    given += [line["attributes"] for line in found["logs"] if line["attributes"]]
    return any(isinstance(text, str) and text.startswith(_WITHHELD) for each in given for text in each.values())


def _few(names: list[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
