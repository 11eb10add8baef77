"""SQL conditions with their parameters, and the place of a page in a list that is ordered by time."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch

if TYPE_CHECKING:
    import duckdb

_NO_KEY: Final = "00000000-0000-0000-0000-000000000000"
_LAST_KEY: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class Place(NamedTuple):
    """The last row of the page before: its `place_ns`, and its key among rows of one moment."""

    place_ns: int
    key: str

    @classmethod
    def below(cls, place_ns: int) -> Place:
        """The place after all rows of a moment."""
        return cls(place_ns - 1, _NO_KEY)

    @classmethod
    def above(cls, place_ns: int) -> Place:
        """The place before all rows of a moment."""
        return cls(place_ns + 1, _LAST_KEY)

    def __str__(self) -> str:
        return f"{self.place_ns}.{self.key}"


class Conditions:
    """Conditions that all hold; one whose value is None is left out."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.values: list[Any] = []
        self.is_upwards = False
        """Whether rows are listed in the contrary order, from a place towards the newest."""

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition with a question mark for each value."""
        if None not in values:
            self._parts.append(condition)
            self.values += values

    def also(self, condition: str, *values: Any) -> Conditions:
        """These conditions and one more."""
        found = Conditions()
        found._parts, found.values, found.is_upwards = [*self._parts], [*self.values], self.is_upwards
        found.add(condition, *values)
        return found

    def add_window(self, since_ns: int | None, until_ns: int | None) -> None:
        """Adds the window of time."""
        self.add("place_ns >= ?", since_ns)
        self.add("place_ns < ?", until_ns)

    def add_place(self, after: Place | None, key: str = "key", value: str = "try_cast(? as uuid)") -> None:
        """Adds that rows come after a place in the order of `place_ns desc, key`."""
        if after is not None:
            # the first part lets the database skip blocks of newer rows
            self.add(f"place_ns <= ? and (place_ns < ? or {key} > {value})", after.place_ns, after.place_ns, after.key)

    def add_place_before(self, before: Place | None) -> None:
        """Adds that rows come before a place in the same order, the nearest first."""
        if before is not None:
            self.is_upwards = True
            sql = "place_ns >= ? and (place_ns > ? or key < try_cast(? as uuid))"
            self.add(sql, before.place_ns, before.place_ns, before.key)

    @property
    def order(self) -> str:
        """The order of a list as SQL."""
        return "order by place_ns, key desc" if self.is_upwards else "order by place_ns desc, key"

    @property
    def where(self) -> str:
        """The condition as SQL."""
        return " and ".join(self._parts) or "true"


def contains(column: str) -> str:
    """The condition that a column has a text in it, in upper or lower case."""
    return f"contains(lower({column}), lower(?))"


def slice_end(
    cursor: duckdb.DuckDBPyConnection, table: str, conditions: Conditions, size: int, weight: str = "1"
) -> int | None:
    """The place of the last of the next rows whose weights together are `size`; None if all of them weigh less."""
    order, first = ("place_ns", "min") if conditions.is_upwards else ("place_ns desc", "max")
    places = f"select place_ns, {weight} as weight from {table} where {conditions.where} order by {order} limit ?"
    sums = f"select place_ns, sum(weight) over (order by {order} rows unbounded preceding) as weights from ({places})"
    query = f"select {first}(place_ns) as last from ({sums}) where weights >= ?"
    last: int | None = fetch(cursor, query, [*conditions.values, size, size])[0]["last"]
    return last
