"""The tables of the page of one model, which the script draws: a row for each step, band or bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import moment
from otel_ml.console.storage._traffic import SCORE_BINS
from otel_ml.console.web._formats import limit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_ml.console.storage._time_range import TimeRange

_VERSIONS_SHOWN: Final = 4
_BANDS_SHOWN: Final = 16


class Table(NamedTuple):
    """Columns with a name each, and rows of a key and a value for each column."""

    columns: list[str]
    rows: list[tuple[str, list[float | None]]]

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return any(value is not None for _, values in self.rows for value in values)


def step_table(
    rows: list[dict[str, Any]], window: TimeRange, values: Callable[[dict[str, Any]], Sequence[float | None] | None],
    width: int,
) -> Table:  # fmt: skip
    """Returns what a query says of each step; None where it says nothing."""
    by_step = {row["step"]: values(row) for row in rows}
    return Table([], [(key, list(by_step.get(step) or [None] * width)) for step, key in enumerate(step_keys(window))])


def version_table(rows: list[dict[str, Any]], versions: list[dict[str, Any]], window: TimeRange) -> dict[str, Table]:
    """Returns the predictions a second of each version, and the share of failed calls of all."""
    busiest = sorted(versions, key=lambda row: -row["calls"])[:_VERSIONS_SHOWN]
    names = {(row["version"], row["role"]): version_name(row) for row in versions if row in busiest}
    starts = window.starts
    rates = {key: [0.0] * len(starts) for key in names}
    calls, errors = [0] * len(starts), [0] * len(starts)
    for row in rows:
        step = row["step"]
        if not 0 <= step < len(starts):
            continue
        calls[step] += row["calls"]
        errors[step] += row["errors"]
        if (row["version"], row["role"]) in rates:
            rates[row["version"], row["role"]][step] += row["rows"] / window.seconds(starts[step])
    keys = step_keys(window)
    return {
        "rates": Table(
            list(names.values()), [(key, [each[at] for each in rates.values()]) for at, key in enumerate(keys)]
        ),
        "errors": Table(
            [], [(key, [errors[at] / calls[at] if calls[at] else None]) for at, key in enumerate(keys)]
        ),
    }  # fmt: skip


def heat_table(rows: list[dict[str, Any]], window: TimeRange, band_start: Callable[[int], float]) -> Table:
    """Returns the calls in each step and band of durations."""
    bands = sorted({row["band"] for row in rows})
    if not bands:
        return Table([], [])
    shown = range(max(bands[0], bands[-1] - _BANDS_SHOWN + 1), bands[-1] + 1)
    counts: dict[tuple[int, int], float] = {}
    for row in rows:
        key = row["step"], max(row["band"], shown[0])
        counts[key] = counts.get(key, 0) + row["calls"]
    names = [limit(float(f"{band_start(band):.2g}")) for band in shown]
    return Table(
        names, [(key, [counts.get((step, band), 0) for band in shown]) for step, key in enumerate(step_keys(window))]
    )


def score_table(rows: list[dict[str, Any]], versions: list[dict[str, Any]]) -> Table:
    """Returns the share of each version's predictions in each bin of the score."""
    totals: dict[tuple[Any, Any], float] = {}
    counts: dict[tuple[Any, Any], dict[int, float]] = {}
    for row in rows:
        key = row["version"], row["role"]
        totals[key] = totals.get(key, 0) + row["calls"]
        counts.setdefault(key, {})[row["bin"]] = row["calls"]
    shown = [row for row in versions if (row["version"], row["role"]) in totals]
    shown = sorted(shown, key=lambda row: -row["calls"])[:_VERSIONS_SHOWN]
    keys = [(row["version"], row["role"]) for row in versions if row in shown]
    return Table(
        [version_name(row) for row in versions if row in shown],
        [
            (f"{place / SCORE_BINS:.2f}", [counts[key].get(place, 0) / totals[key] for key in keys])
            for place in range(SCORE_BINS)
        ] if keys else [],
    )  # fmt: skip


def classes_table(rows: list[dict[str, Any]], window: TimeRange) -> Table:
    """Returns the share of each class in the predictions of each step, the rarest classes together."""
    totals: dict[str | None, float] = {}
    by_step: dict[int, dict[str | None, float]] = {}
    for row in rows:
        totals[row["class"]] = totals.get(row["class"], 0) + row["calls"]
        by_step.setdefault(row["step"], {})[row["class"]] = row["calls"]
    classes = sorted(totals, key=lambda name: (name is None, name))
    table: list[tuple[str, list[float | None]]] = []
    for step, key in enumerate(step_keys(window)):
        counts = by_step.get(step, {})
        whole = sum(counts.values())
        table.append((key, [counts.get(name, 0) / whole if whole else None for name in classes]))
    return Table(["others" if name is None else name for name in classes], table)


def version_name(row: dict[str, Any]) -> str:
    """A version with its role, unless that is the primary one."""
    name = row["version"] or "no version"
    return f"{name} {row['role']}" if row["role"] and row["role"] != "primary" else name


def step_keys(window: TimeRange) -> list[str]:
    """The start of each step as a table has it."""
    return [f"{moment(start)[:19]}Z" for start in window.starts]
