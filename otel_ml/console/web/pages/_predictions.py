"""The list of predictions, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.storage import _prediction_detail
from otel_ml.console.storage.details._reference_bins import reference_bins
from otel_ml.console.web.details._prediction_parts import ROWS_SHOWN, prediction_parts
from otel_ml.console.web.details._steps import of_list, row_steps, steps
from otel_ml.console.web.pages import _prediction_list
from otel_ml.console.web.pages._requests import trace_parts

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame

UNKNOWN: Final = (
    "No such prediction. It has not arrived yet, retention has deleted it, or it is a row beyond the first "
    f"{ROWS_SHOWN} of a batch, which is not in the event and is found by its label only."
)

_OF: Final = {"version": "version", "role": "role", "trace": "trace_id"}
"""The parameters that, with the model, choose one of several predictions under the same id."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The routes of both pages."""

    async def shown_list(request: Request) -> Response:
        return await _prediction_list.show(frame, request)

    async def shown_one(request: Request) -> Response:
        wanted = request.path_params["id"]
        view = await frame.view(request, ("span", "list", *_OF))
        text = request.query_params.get("list")
        listed = of_list(text) if text else None
        given = {_OF.get(name, name): text for name, text in request.query_params.items() if name in {"model", *_OF}}
        found = await frame.reader.read(lambda cursor: _prediction_detail.prediction(cursor, wanted, **given))
        if found is None:
            return frame.message(404, UNKNOWN)
        of = found["prediction"]
        parts = prediction_parts(found, await frame.reader.read(reference_bins, of["model"], of["version"]))
        if parts["row"] and not (listed and listed.wanted.is_about_rows):
            links = row_steps(of, parts["row_before"], parts["row_after"])
        else:
            links = await frame.reader.read(steps, found, wanted, listed)
        return await frame.render(
            request, "prediction.html", (listed.view if listed else view).of(of["model"]), title=f"Prediction {wanted}",
            wanted_id=wanted, steps=links, listed=listed, **parts,
            **trace_parts(found["trace"], found["logs"], request.query_params.get("span")),
        )  # fmt: skip

    return [frame.route("/predictions", shown_list), frame.route("/predictions/{id:path}", shown_one)]
