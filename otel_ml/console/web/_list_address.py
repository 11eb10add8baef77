"""The addresses of a list with filters: its kinds, its active filters and its further pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from otel_ml.console.storage._queries import moment
from otel_ml.console.web._frame import PLACE
from otel_ml.console.web._view import NAMES, PageView

if TYPE_CHECKING:
    from starlette.requests import Request

    from otel_ml.console.storage.lists._conditions import Place
    from otel_ml.console.web._parameters import Parameter

_OF_BAR: Final = frozenset({"model", "since", "until"})
"""What the API takes and a page has in its bar."""


@dataclass(frozen=True)
class ListAddress:
    """A page about a view with parameters of its own."""

    page: str
    view: PageView
    own: list[tuple[str, str]]
    """Names and texts of the parameters that are not of the bar."""

    @classmethod
    def of(cls, request: Request, view: PageView) -> ListAddress:
        """Returns the address of a request."""
        given = request.query_params.multi_items()
        return cls(request.url.path, view, [(name, text) for name, text in given if name not in NAMES and text])

    def link(self, changes: Mapping[str, str], without: Collection[str] = ()) -> str:
        """Returns the address of the first page of the same list, with parameters changed or left out."""
        left_out = {PLACE, *without, *changes}
        pairs = [*((name, text) for name, text in self.own if name not in left_out), *changes.items()]
        address = self.view.link(self.page)
        return f"{address}{'&' if '?' in address else '?'}{urlencode(pairs)}" if pairs else address

    def kinds(self, kinds: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str, bool]]:
        """Returns each kind with its address and whether it is shown."""
        names = {name for kind in kinds.values() for name in kind}
        now = {name: text for name, text in self.own if name in names}
        return [(text, self.link(kind, names), now == kind) for text, kind in kinds.items()]

    def active(self, names: Collection[str]) -> list[tuple[str, str]]:
        """Returns each filter in words, and the address of the list without it."""
        found = []
        for place, (name, text) in enumerate(self.own):
            if name in names:
                rest = replace(self, own=[pair for index, pair in enumerate(self.own) if index != place])
                said = text if name == "feature" else f"{name.replace('_', ' ')} {text}"
                found.append((said, rest.link({})))
        return found

    def pages(self, after: Place | None, following: Place | None, is_short: bool = False) -> dict[str, str | None]:
        """Returns what a template needs to lead to the pages before and after this one.

        Args:
            after: The place in the address, after which this page begins.
            following: That of the page that follows.
            is_short: Whether this page looked at all it may look at and found fewer rows than it can show.
        """
        closed = {"record"}
        return {
            "older": None if following is None else self.link({PLACE: str(following)}, closed),
            "newest": None if after is None else self.link({}, closed),
            "looked_back_to": moment(following.place_ns) if following is not None and is_short else None,
        }


def without_bar(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Returns the parameters of a list of the API that its page has beside those of the bar."""
    return tuple(one for one in parameters if one.name not in _OF_BAR)
