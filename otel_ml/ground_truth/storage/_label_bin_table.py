"""The bins of the labels of each model's reference, for processes that record labels and do not have the model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from otel_ml._label_bins import LabelBins
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._rows import StoredRows

if TYPE_CHECKING:
    import sqlalchemy as sa

_COLUMNS: Final = {"id": "text", "profile_id": "text", "bins": "text"}
"""The columns of the table, and their types in PostgreSQL."""
_KEPT: Final = 256


class LabelBinTable:
    """The bins that a store has, one row for each model and version: those of the profile that was stored last."""

    def __init__(self, database: StoreDatabase) -> None:
        self._database = database
        self._stored: dict[str, str] = {}
        """Profile of each model and version that this process has stored. Another process may have stored another one
        since: they do not take turns."""
        self._known: dict[str, LabelBins] = {}
        """Those that were read last."""

    def write(self, connection: sa.Connection, rows: Iterable[StoredRows]) -> dict[str, str]:
        """Stores the bins of models whose profile is new; returns these profiles, to be remembered after the commit."""
        given = {_key(*each.rows[0][1:3]): each.label_bins for each in rows if each.label_bins is not None}
        new = {key: bins for key, bins in given.items() if self._stored.get(key) != bins.profile_id}
        if new:
            values = [(key, bins.profile_id, bins.to_text()) for key, bins in new.items()]
            self._database.upsert_rows(connection, self._database.tables.label_bins, _COLUMNS, values)
        return {key: bins.profile_id for key, bins in new.items()}

    def remember(self, stored: dict[str, str]) -> None:
        """Keeps in mind what `write` has stored."""
        self._stored.update(stored)

    def find(
        self, connection: sa.Connection, models: Collection[tuple[str, ...]]
    ) -> dict[tuple[str, ...], LabelBins | None]:
        """Returns the bins of models, given as name and version; None for one that has none."""
        keys = {model: _key(*model) for model in models}
        rows = self._database.find(connection, self._database.tables.label_bins, tuple(_COLUMNS), keys.values())
        if len(self._known) >= _KEPT:
            self._known.clear()
        for key, profile_id, text in rows:
            known = self._known.get(key)
            if known is None or known.profile_id != profile_id:
                self._known[key] = LabelBins.from_text(profile_id, text)
        return {model: self._known.get(key) for model, key in keys.items()}


def _key(*model: str) -> str:
    return json.dumps(model)
