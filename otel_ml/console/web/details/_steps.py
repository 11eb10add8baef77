"""Where one can go from the page of a prediction: back to the list it was opened from, and to its neighbours there."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from starlette.datastructures import QueryParams

from otel_ml.console.storage.lists import _neighbours
from otel_ml.console.storage.lists._conditions import Place
from otel_ml.console.storage.lists._prediction_filter import PredictionFilter
from otel_ml.console.web import _parameters, _query_parameters
from otel_ml.console.web._formats import prediction_address
from otel_ml.console.web._frame import PLACE
from otel_ml.console.web._list_address import ListAddress, without_bar
from otel_ml.console.web._operations import PREDICTION_FILTER
from otel_ml.console.web._view import NAMES, PageView, view

if TYPE_CHECKING:
    import duckdb

FILTER: Final = without_bar(PREDICTION_FILTER)
"""The parameters of the list beside those of the bar."""
_PAGE: Final = "/predictions"
_LETTERS: Final = re.compile("(?:%[89A-F][0-9A-F])+")
"""Encoded letters that are no signs of an address."""
_SIDES: Final = {"older": ("prev", "← older"), "newer": ("next", "newer →")}
_ROWS: Final = {"prev": "← row before", "next": "row after →"}


class Step(NamedTuple):
    """A link to a neighbour."""

    kind: str
    """Its relation, `prev` or `next`."""
    text: str
    address: str


@dataclass(frozen=True)
class OfList:
    """The list of predictions from which a page was opened."""

    text: str
    """Its parameters as one text, which the address of the page has."""
    address: ListAddress
    wanted: PredictionFilter

    @property
    def view(self) -> PageView:
        """Model and time range of the list."""
        return self.address.view

    @property
    def words(self) -> str:
        """What the list is narrowed to."""
        return " · ".join(text for text, _ in self.address.active({one.name for one in FILTER}))


def of_list(text: str) -> OfList:
    """Returns the list that the parameter of a page names.

    Raises:
        BadParameterError: A parameter of the list is unknown or wrong.
    """
    given = QueryParams(text)
    _query_parameters.check(given, (*NAMES, *(one.name for one in FILTER)), ("feature",))
    shown = view(given, time.time_ns(), "1h")
    own = [(name, each) for name, each in given.multi_items() if name not in NAMES and each]
    # the start of a range that ends now moves on while the reader reads
    window = shown.filter | ({"since_ns": None} if shown.is_live else {})
    wanted = PredictionFilter(**window, **_parameters.read(QueryParams(own), FILTER))
    return OfList(text, ListAddress(_PAGE, shown, own), wanted)


def list_text(address: ListAddress) -> str | None:
    """Returns a list as the parameter of the pages of its predictions; None if it has no filter, or too many."""
    names = {one.name for one in FILTER}
    own = [(name, text) for name, text in address.own if name in names]
    text = ListAddress("", address.view, own).link({}).removeprefix("?")
    # a letter beyond ASCII counts once: it is encoded when the whole text is
    text = _LETTERS.sub(lambda found: unquote(found.group()), text)
    return text if own and len(text) <= _query_parameters.TEXT_MAX else None


def steps(
    cursor: duckdb.DuckDBPyConnection, found: dict[str, Any], wanted_id: str, listed: OfList | None
) -> list[Step]:
    """Returns the links to the neighbours of a prediction, or of a row of a batch."""
    place, own = Place(*found["place"]), found["prediction"]
    text = listed.text if listed else None
    if listed is None:
        beside = _neighbours.of_version(cursor, own, place)
    else:
        row_id = None if own["id"] == wanted_id else wanted_id
        beside = _neighbours.neighbours(cursor, listed.wanted, place, row_id)
    links = []
    for name, (kind, arrow) in _SIDES.items():
        row, following = beside[name]
        if row is not None:
            links.append(Step(kind, arrow, prediction_address(row, listed=text)))
        elif listed is not None and following is not None:
            further = {PLACE: str(following)} if name == "older" else {}
            links.append(Step(kind, "← look further back" if further else "newest →", listed.address.link(further)))
    return links


def row_steps(prediction: dict[str, Any], before: str | None, after: str | None) -> list[Step]:
    """Returns the links from a row of a batch to those beside it."""
    sides = {"prev": before, "next": after}
    return [Step(kind, _ROWS[kind], prediction_address(prediction, own)) for kind, own in sides.items() if own]
