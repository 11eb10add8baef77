"""The sets of classes that models declare: each is stored once, and kept in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from otel_ml.ground_truth.storage._database import StoreDatabase

if TYPE_CHECKING:
    import sqlalchemy as sa

_KEPT: Final = 256


class ClassSets:
    """The sets of a store, by their keys."""

    def __init__(self, database: StoreDatabase) -> None:
        self._database = database
        self._sets: dict[str, tuple[str, ...]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._sets

    def find(self, connection: sa.Connection, key: str | None) -> tuple[str, ...] | None:
        """Returns the classes under a key; None without a key or a set."""
        if key is None:
            return None
        if key not in self._sets:
            rows = self._database.find(connection, self._database.tables.classes, ("names",), [key])
            if not rows:
                return None
            self.remember(key, rows[0][0])
        return self._sets[key]

    def remember(self, key: str, names: str) -> None:
        """Keeps a set that the store has, given as JSON text."""
        if key not in self._sets:
            if len(self._sets) >= _KEPT:
                self._sets.clear()
            self._sets[key] = tuple(json.loads(names))
