"""The list of predictions, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage import _prediction_detail
from otel_ml.console.web.pages import _prediction_list
from otel_ml.console.web.pages._requests import trace_parts

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

_FEATURES_SHOWN: Final = 300
_ROWS_SHOWN: Final = 100
UNKNOWN: Final = (
    "No such prediction. It has not arrived yet, retention has deleted it, or it is a row beyond the first "
    f"{_ROWS_SHOWN} of a batch, which is not in the event and is found by its label only."
)


def routes(frame: Frame) -> list[BaseRoute]:
    """The routes of both pages."""

    async def shown_list(request: Request) -> Response:
        return await _prediction_list.show(frame, request)

    async def shown_one(request: Request) -> Response:
        wanted = request.path_params["id"]
        view = await frame.view(request, ("span",))
        found = await frame.reader.read(_prediction_detail.prediction, wanted)
        if found is None:
            return frame.message(404, UNKNOWN)
        return await frame.render(
            request, "prediction.html", view.of(found["prediction"]["model"]), title=f"Prediction {wanted}",
            wanted_id=wanted, **_detail(found),
            **trace_parts(found["trace"], found["logs"], request.query_params.get("span")),
        )  # fmt: skip

    return [frame.route("/predictions", shown_list), frame.route("/predictions/{id:path}", shown_one)]


def address(request: Request) -> str:
    """Where a service can send its telemetry."""
    return f"http://{request.headers.get('host', '127.0.0.1')}"


def unpaired_text(counts: Any) -> str | None:
    """What a batch has in different numbers, such as ``3 inputs, 2 outputs``; None if its parts go together."""
    if not isinstance(counts, dict):
        return None
    known = [(name, counts.get(name)) for name in ("inputs", "ids", "outputs")]
    return ", ".join(f"{count:,} {name}" for name, count in known if isinstance(count, int))


def _detail(found: dict[str, Any]) -> dict[str, Any]:
    features = list((found["event"]["features"] or {}).items())
    rows = found["event"]["rows"] or []
    shown = min(len(rows), _ROWS_SHOWN)
    return {
        "found": found,
        "prediction": found["prediction"],
        "features": features[:_FEATURES_SHOWN],
        "features_hidden": max(0, len(features) - _FEATURES_SHOWN),
        "rows": [
            (_prediction_detail.row_id(rows, index, found["prediction"]["id"]), rows[index]) for index in range(shown)
        ],
        "rows_hidden": len(rows) - shown + found["event"]["rows_omitted"],
        "unpaired": unpaired_text(found["event"]["unpaired"]),
        "labels": {label["prediction_id"]: label for label in found["labels"]},
    }
