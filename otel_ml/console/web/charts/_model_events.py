"""What happened to a model in a time range: new versions, first errors, and features whose data began to differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml._verdicts import OK
from otel_ml.console.web._formats import feature
from otel_ml.console.web.charts._model_charts import version_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_ml.console.storage._time_range import TimeRange

_LETTERS: Final = "ABCDEFGHIJKL"
_PERIODS: Final = 12
"""Parts of a range in which the data is judged."""
_NAMED: Final = 3


def period_edges(window: TimeRange) -> list[int]:
    """Returns the moments that divide a range into parts in which the data is judged."""
    length = window.until_ns - window.since_ns
    return [window.since_ns + length * place // _PERIODS for place in range(1, _PERIODS)]


def events(
    versions: list[dict[str, Any]], errors: list[dict[str, Any]], features: Sequence[dict[str, Any]],
    window: TimeRange,
) -> list[dict[str, Any]]:  # fmt: skip
    """Returns what happened in order, each with a letter that the charts show; what is of one moment shares it."""
    earliest = min((row["first_ns"] for row in versions), default=0)
    found = [
        {"time_ns": row["first_ns"], "text": f"version {version_name(row)} is new"}
        for row in versions
        if row["first_ns"] > earliest + window.step_ns
    ]
    found += [{"time_ns": row["first_ns"], "text": f"first {row['error_type'] or 'error'}"} for row in errors]
    found += _changes(features, [window.since_ns, *period_edges(window)])
    found = sorted(found, key=lambda event: event["time_ns"])[: len(_LETTERS)]
    letters = dict(zip(dict.fromkeys(event["time_ns"] for event in found), _LETTERS, strict=False))
    return [event | {"letter": letters[event["time_ns"]]} for event in found]


def _changes(features: Sequence[dict[str, Any]], starts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yields when features began to differ from the reference, after a period in which they did not."""
    was_ok: set[tuple[Any, ...]] = set()
    judged = [row["periods"] for row in features if "periods" in row]
    for place, start in enumerate(starts):
        began: dict[str, dict[str, None]] = {}
        for row in (periods[place] for periods in judged):
            key = (row["feature"], row["version"], row["role"], row["profile"])
            if row["verdict"] == OK:
                was_ok.add(key)
            elif row["findings"] and key in was_ok:
                was_ok.remove(key)
                began.setdefault(row["verdict"], {})[row["feature"]] = None
        for verdict, names in began.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield {
                "time_ns": start,
                "text": f"{', '.join(map(feature, [*names][:_NAMED]))}{more} {verdict.replace('_', ' ')}",
            }
