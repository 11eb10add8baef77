"""What every page is about: a model and a time range, both in the address, so that each view is a link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage._queries import moment
from otel_ml.console.storage._time_range import TimeRange
from otel_ml.console.web import _query_parameters
from otel_ml.console.web._query_parameters import BadParameterError

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

NAMES: Final = ("model", "range", "from", "to")
"""The parameters of the bar."""
_SECOND: Final = 10**9
RANGES: Final = {
    "5m": ("Last 5 minutes", 300, 5),
    "15m": ("Last 15 minutes", 900, 15),
    "1h": ("Last hour", 3600, 60),
    "6h": ("Last 6 hours", 21_600, 360),
    "24h": ("Last 24 hours", 86_400, 1800),
    "3d": ("Last 3 days", 259_200, 5400),
}
"""By name: what the page calls it, its seconds, and the seconds of one point of a chart."""
STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds of a step of a chart."""
_POINTS: Final = 60
"""The most points of a chart of a range that is not one of these."""


@dataclass(frozen=True)
class PageView:
    """A model, or all, in a time range."""

    model: str | None
    range: str
    """Name of the range; empty if the address has its start and end."""
    window: TimeRange

    @property
    def is_live(self) -> bool:
        """Whether the range ends now."""
        return bool(self.range)

    @property
    def label(self) -> str:
        """The range in words."""
        return RANGES[self.range][0] if self.range else "Chosen range"

    @property
    def span(self) -> Span:
        """The metric points that a page is about; without a model nothing has arrived, and none is read."""
        return Span(self.model or "", self.window.since_ns, None if self.is_live else self.window.until_ns)

    @property
    def filter(self) -> dict[str, Any]:
        """What lists are narrowed to by the bar: model and time, without an end while the range is live."""
        until_ns = None if self.is_live else self.window.until_ns
        return {"model": self.model, "since_ns": self.window.since_ns, "until_ns": until_ns}

    def of(self, model: str | None) -> PageView:
        """Returns the view of another model."""
        return replace(self, model=model)

    def link(self, page: str, **changes: str | None) -> str:
        """Returns the address of a page about the same model and range, or about others."""
        wanted: dict[str, str | None] = {"model": self.model}
        if self.range and "from" not in changes:
            wanted["range"] = self.range
        else:
            wanted |= {"from": moment(self.window.since_ns), "to": moment(self.window.until_ns)}
        query = urlencode({name: text for name, text in (wanted | changes).items() if text})
        return f"{page}?{query}" if query else page


def view(parameters: QueryParams, now_ns: int, default_range: str) -> PageView:
    """Returns what an address asks for; a range wins over start and end."""
    name = parameters.get("range") or ""
    since, until = (_query_parameters.moment(parameters, each) for each in ("from", "to"))
    if name and name not in RANGES:
        raise BadParameterError(f"range: expected one of {', '.join(RANGES)}")
    model = parameters.get("model") or None
    if name or since is None:
        name = name or default_range
        _, length, step = RANGES[name]
        return PageView(model, name, TimeRange.of(now_ns - length * _SECOND, now_ns, step * _SECOND))
    until = now_ns if until is None else until
    if until <= since:
        raise BadParameterError("from: expected a moment before `to`")
    whole_days = -(-(until - since) // (STEPS[-1] * _SECOND * _POINTS)) * STEPS[-1]
    step = next((each for each in STEPS if (until - since) <= each * _SECOND * _POINTS), whole_days)
    return PageView(model, "", TimeRange.of(since, until, step * _SECOND))
