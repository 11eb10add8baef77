"""Whether telemetry arrives: what the console received, refused and dropped, each sender's ledger, and the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console._options import MEMORY
from otel_ml.console.storage import _health, _senders
from otel_ml.console.web.charts._model_charts import Table
from otel_ml.console.web.charts._model_charts import step_keys as keys

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._ingest_queue import IngestQueue
    from otel_ml.console.storage._time_range import TimeRange
    from otel_ml.console.web._frame import Frame

SIGNALS: Final = ("traces", "metrics", "logs")
_SHOWN: Final = 50
"""Senders and services of the page."""


def routes(frame: Frame, ingest: IngestQueue, options: Options) -> list[BaseRoute]:
    """The route of the page."""

    async def health(request: Request) -> Response:
        view = await frame.view(request)
        arrivals = await frame.reader.read(_health.arrivals, view.window)
        senders = (await frame.reader.read(_senders.senders))["senders"]
        return await frame.render(
            request,
            "health.html",
            view,
            title="Health",
            counts=ingest.status(),
            signals=SIGNALS,
            arrivals=_over_time(arrivals, view.window),
            services=_by_service(arrivals),
            senders=[sender | {"has_losses": _has_losses(sender)} for sender in senders[:_SHOWN]],
            omitted=max(0, len(senders) - _SHOWN),
            storage=await frame.reader.read(_health.storage),
            options=options,
            in_memory=options.database == MEMORY,
        )

    return [frame.route("/health", health)]


def _over_time(rows: list[dict[str, Any]], window: TimeRange) -> Table:
    starts = window.starts
    found = [[0.0] * len(SIGNALS) for _ in starts]
    for row in rows:
        if 0 <= row["step"] < len(starts):
            found[row["step"]][SIGNALS.index(row["signal"])] += row["records"] / window.seconds(starts[row["step"]])
    return Table(list(SIGNALS), [(key, [*values]) for key, values in zip(keys(window), found, strict=True)])


def _by_service(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str | None, dict[str, Any]] = {}
    for row in rows:
        service = found.setdefault(
            row["service"], {"service": row["service"], "newest_ns": 0, **dict.fromkeys(SIGNALS, 0)}
        )
        service[row["signal"]] += row["records"]
        service["newest_ns"] = max(service["newest_ns"], row["newest_ns"])
    return sorted(found.values(), key=lambda row: -row["newest_ns"])[:_SHOWN]


def _has_losses(sender: dict[str, Any]) -> bool:
    return any(figures["rejected"] or figures["dropped"] for figures in sender["signals"].values())
