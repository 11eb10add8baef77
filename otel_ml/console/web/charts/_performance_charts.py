"""The tables of the page of performance, which the script draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.web._formats import figure, limit
from otel_ml.console.web.charts._model_charts import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

_TENTH: Final = 0.1
_SHADES: Final = 5
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def accuracy_table(version: dict[str, Any], starts: Sequence[str]) -> Table:
    """Returns estimate, labels, training and the interval of the estimate in each period."""
    training = next((row["training"] for row in version["estimate"] if row["figure"] == "accuracy"), None)
    return Table(
        ["estimate", "labels", "training", "low", "high"],
        [
            (f"{start[:19]}Z", [each["estimate"], each["accuracy"], training, *(each["interval"] or (None, None))])
            for start, each in zip(starts, version["periods"], strict=False)
        ],
    )


def scale_start(table: Table) -> float:
    """Returns where the scale of shares begins: the tenth below the smallest."""
    least = min((value for _, values in table.rows for value in values if value is not None), default=0.0)
    return round(min(max(0.0, math.floor(least / _TENTH) * _TENTH), 1 - _TENTH), 1)


def calibration_table(bins: list[dict[str, Any]]) -> Table:
    """Returns the mean score in each tenth beside the share of labels that are of the class."""
    return Table(
        ["score says", "labels say"],
        [(f"{each['from']:.1f}", [each["score"], each["share"]]) for each in bins],
    )


def error_table(errors: list[dict[str, Any]]) -> Table:
    """Returns the labels by absolute error."""
    return Table(
        ["labels"],
        [("more" if each["up_to"] is None else figure(each["up_to"]) or "", [each["labels"]]) for each in errors],
    )


def matrix(version: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the confusion matrix with the shade of each cell, recall of each row and precision of each column."""
    found: dict[str, Any] | None = version["confusion"]
    if found is None:
        return None
    columns = [sum(row["cells"][at] for row in found["rows"]) for at in range(len(found["classes"]))]
    rows = []
    for at, row in enumerate(found["rows"]):
        whole = sum(row["cells"])
        is_known = row["actual"] != semconv.OTHER
        rows.append(
            {
                "actual": row["actual"],
                "cells": [
                    (predicted, times, math.ceil(_SHADES * times / whole) if whole else 0, place == at)
                    for place, (predicted, times) in enumerate(zip(found["classes"], row["cells"], strict=True))
                ],
                "recall": row["cells"][at] / whole if whole and is_known else None,
                "precision": row["cells"][at] / columns[at] if columns[at] and is_known else None,
            }
        )
    return {"classes": found["classes"], "rows": rows}


def lag_text(up_to: float | None) -> str:
    """Returns the time to a label in words."""
    if up_to is None:
        return f"more than {lag_text(semconv.LAG_BUCKETS[-1]).removeprefix('up to ')}"
    factor, unit = next(((size, name) for size, name in _UNITS if up_to >= size), (1, "s"))
    return f"up to {up_to / factor:g} {unit}" if factor > 1 else f"up to {limit(up_to)}"
