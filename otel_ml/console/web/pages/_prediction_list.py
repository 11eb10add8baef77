"""The list of predictions: filters, columns to choose, pages without end, and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from otel_ml.console.storage._queries import moment
from otel_ml.console.storage.lists import _prediction_choices, _prediction_list
from otel_ml.console.storage.lists._batch_rows import bodies
from otel_ml.console.storage.lists._feature_condition import quoted
from otel_ml.console.storage.lists._prediction_filter import PredictionFilter
from otel_ml.console.storage.lists._segment_filter import segments
from otel_ml.console.web import _parameters
from otel_ml.console.web._list_address import ListAddress
from otel_ml.console.web.details._steps import FILTER, list_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from otel_ml.console.storage.lists._conditions import Place
    from otel_ml.console.web._frame import Frame
    from otel_ml.console.web._view import PageView

COLUMNS: Final = {
    "id": "Id",
    "model": "Model",
    "version": "Version",
    "output": "Output",
    "score": "Score",
    "duration": "Duration",
    "label": "Label",
    "error": "Error",
    "service": "Service",
    "trace": "Trace",
    "features": "Features",
}
"""Columns beside the time, which leads to the prediction."""
_DEFAULT: Final = ("model", "version", "output", "score", "duration", "label", "error")
_COOKIE: Final = "otel-ml-columns"
_STANDARD: Final = "standard"
"""In place of a column: those that are shown as long as nobody has chosen any."""
_COLUMN: Final = _parameters.choice(
    "column", "columns of the table", (*COLUMNS, _STANDARD), field="columns", is_repeated=True
)
_PARAMETERS: Final = (*FILTER, _COLUMN, _parameters.PAGE_LIMIT, _parameters.AFTER)
_KINDS: Final[dict[str, dict[str, str]]] = {
    "All": {},
    "Failed": {"failed": "true"},
    "Wrong": {"truth": "wrong"},
    "Right": {"truth": "right"},
    "Unlabelled": {"truth": "unlabelled"},
}
"""The kinds of predictions that one click shows, with their parameters."""
_ROWS: Final = 5
"""Rows of one batch on the page."""
_FILES: Final = {"csv": "CSV", "json": "JSON", "parquet": "Parquet"}


async def show(frame: Frame, request: Request) -> Response:
    """The page."""
    view = await frame.view(request, [one.name for one in _PARAMETERS], ("feature", "column"))
    address = ListAddress.of(request, view)
    own = address.own
    given = _parameters.read(QueryParams(own), _PARAMETERS)
    chosen = given.pop("columns")
    standard = [name for name in _DEFAULT if name != "model" or not view.model]
    columns = standard if _STANDARD in chosen else chosen or _kept(request) or standard
    wanted = PredictionFilter(**view.filter, **given)
    rows, following = await frame.reader.read(_listed, wanted, "features" in columns)
    response = await frame.render(
        request,
        "predictions.html",
        view,
        title="Predictions",
        rows=rows,
        listed=list_text(address),
        columns=[name for name in COLUMNS if name in columns],
        all_columns=COLUMNS,
        **await frame.reader.read(_offered, PredictionFilter(**view.filter), dict(own).get("segment", "")),
        filter=dict(own),
        features=[text for name, text in own if name == "feature"],
        active=address.active({one.name for one in FILTER} - {"truth", "failed"}),
        kinds=address.kinds(_KINDS),
        **address.pages(wanted.after, following, len(rows) < wanted.limit),
        files={text: _file(view, own, kind) for kind, text in _FILES.items()},
        standard_columns=None if set(columns) == set(standard) else address.link({"column": _STANDARD}),
    )
    if _STANDARD in chosen:
        response.delete_cookie(_COOKIE, path="/predictions")
    elif chosen:
        response.set_cookie(_COOKIE, ".".join(chosen), 365 * 86_400, path="/predictions", httponly=True, samesite="lax")
    return response


def _kept(request: Request) -> list[str]:
    """Returns the columns that were chosen last in this browser."""
    return [name for name in request.cookies.get(_COOKIE, "").split(".") if name in COLUMNS]


def _offered(cursor: Any, bare: PredictionFilter, segment: str) -> dict[str, Any]:
    """What the fields of the form offer."""
    of_columns = {
        column: {f"{quoted(column)}={value}": value for value in values}
        for column, values in segments(cursor, bare).items()
    }
    return {
        "choices": _prediction_choices.choices(cursor, bare),
        "segments": of_columns,
        "is_known_segment": segment in {"", *(text for each in of_columns.values() for text in each)},
    }


def _listed(cursor: Any, wanted: PredictionFilter, with_features: bool) -> tuple[list[dict[str, Any]], Place | None]:
    found, following = _prediction_list.page(cursor, wanted)
    contents = bodies(cursor, [row["key"] for row in found if with_features or row["fits"]])
    rows = []
    for row in found:
        content = contents.get(row["key"])
        shown = _prediction_list.answer(row, content) | {"batch": None, "more": 0}
        if shown["fitting_rows"] is None:
            features = content.get("features") if isinstance(content, dict) else None
            rows.append(shown | {"features": features if isinstance(features, dict) else None})
        else:
            rows += _fitting(shown)
    return rows, following


def _fitting(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The first rows of a batch that fit, each as a prediction of its own."""
    count, rows = batch["fitting_rows"]["count"], batch["fitting_rows"]["rows"][:_ROWS]
    of = {"batch": batch["id"], "batch_size": batch["batch_size"], "row_labels": None}
    found = [batch | row | of for row in rows]
    found[-1]["more"] = count - len(rows)
    return found


def _file(view: PageView, own: list[tuple[str, str]], kind: str) -> str:
    names = {one.name for one in FILTER}
    window = {"since": moment(view.window.since_ns)}
    if not view.is_live:
        window["until"] = moment(view.window.until_ns)
    model = {"model": view.model} if view.model else {}
    pairs = [(name, text) for name, text in own if name in names]
    return "/api/export/predictions?" + urlencode([*({"format": kind} | model | window).items(), *pairs])
