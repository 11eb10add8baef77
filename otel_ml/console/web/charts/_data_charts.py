"""The tables of the page of one feature, which the script draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._report import bin_text
from otel_ml._verdicts import PSI_LIMIT
from otel_ml.console.storage._queries import moment
from otel_ml.console.web.charts._model_charts import Table
from otel_ml.console.web.charts._model_events import period_edges

if TYPE_CHECKING:
    from otel_ml.console.storage._time_range import TimeRange

_CHANGED: Final = 0.05
"""Part of the PSI from which on a bin has changed."""
_SHOWN: Final = 6


def bin_table(row: dict[str, Any]) -> Table:
    """Returns the share of the values in each bin, live and in the reference."""
    return Table(
        ["live", "reference"], [(_text(row, each["bin"]), [each["share"], each["expected"]]) for each in row["bins"]]
    )


def psi_table(row: dict[str, Any], window: TimeRange) -> Table:
    """Returns PSI, the level that it stays below by chance, and the limit, in each period with values."""
    return Table(
        ["PSI", "noise", "limit"],
        [
            (key, [each["psi"], each["psi_noise"], PSI_LIMIT if each["psi"] is not None else None])
            for key, each in zip(period_keys(window), row["periods"], strict=True)
        ],
    )


def share_table(row: dict[str, Any], window: TimeRange) -> Table:
    """Returns the share of the rows with each finding in each period."""
    names = [*row["shares"]]
    return Table(
        [name.replace("_", " ") for name in names],
        [
            (key, [each["shares"][name]["share"] if name in each["shares"] else None for name in names])
            for key, each in zip(period_keys(window), row["periods"], strict=True)
        ],
    )


def changed_bins(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the bins that make up a PSI above its noise, the largest part first."""
    if row["psi"] is None or row["psi_noise"] is None or row["psi"] <= row["psi_noise"]:
        return []
    whole = sum(each["psi"] for each in row["bins"])
    parts = [each | {"part": each["psi"] / whole, "text": _text(row, each["bin"])} for each in row["bins"]]
    return sorted((each for each in parts if each["part"] >= _CHANGED), key=lambda each: -each["part"])[:_SHOWN]


def _text(row: dict[str, Any], label: str) -> str:
    """Returns the name of a bin; unseen categories are counted with those that are rare in training."""
    if label == semconv.OTHER and semconv.UNSEEN_CATEGORIES in row["shares"]:
        return "rare or unseen"
    return bin_text(label)


def period_keys(window: TimeRange) -> list[str]:
    """Returns the start of each period."""
    return [f"{moment(start)[:19]}Z" for start in (window.since_ns, *period_edges(window))]
