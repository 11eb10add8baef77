"""What each model's reference says of labels, for processes that record labels and do not have the model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from otel_ml._digests import digest
from otel_ml._figures.label_bins import LabelBins
from otel_ml._figures.score_probabilities import Calibration
from otel_ml.ground_truth._records import ReferenceFacts
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._rows import StoredRows

if TYPE_CHECKING:
    import sqlalchemy as sa

_COLUMNS: Final = {"id": "text", "profile_id": "text", "bins": "text"}
"""The columns of the table, and their types in PostgreSQL."""
_CALIBRATION: Final = "calibration"
_KEPT: Final = 512


class ReferenceTable:
    """The bins of labels and the calibration of scores that a store has for each model and version: those of the
    profile that was stored last. Each has a row of its own, so that earlier versions find the bins as ever.
    """

    def __init__(self, database: StoreDatabase) -> None:
        self._database = database
        self._stored: dict[str, str] = {}
        """Mark of each row that this process has stored. Another process may have stored another one since: they do not
        take turns."""
        self._known: dict[str, tuple[str, LabelBins | Calibration]] = {}
        """Those that were read last, with their mark."""

    def write(self, connection: sa.Connection, rows: Iterable[StoredRows]) -> dict[str, str]:
        """Stores what is new of the models' references; returns the marks, to be remembered after the commit."""
        given: dict[str, tuple[str, str]] = {}
        for each in rows:
            model, (bins, calibration) = each.rows[0][1:3], each.reference
            if bins is not None:
                given[_key(*model)] = bins.profile_id, bins.to_text()
            if calibration is not None:
                text = calibration.to_text()
                given[_key(_CALIBRATION, *model)] = digest(text), text
        new = {key: pair for key, pair in given.items() if self._stored.get(key) != pair[0]}
        if new:
            values = [(key, *pair) for key, pair in new.items()]
            self._database.upsert_rows(connection, self._database.tables.label_bins, _COLUMNS, values)
        return {key: mark for key, (mark, _) in new.items()}

    def remember(self, stored: dict[str, str]) -> None:
        """Keeps in mind what `write` has stored."""
        self._stored.update(stored)

    def find(
        self, connection: sa.Connection, models: Collection[tuple[str, ...]]
    ) -> dict[tuple[str, ...], ReferenceFacts]:
        """Returns what the references of models say, given as name and version."""
        keys = [key for model in models for key in (_key(*model), _key(_CALIBRATION, *model))]
        rows = self._database.find(connection, self._database.tables.label_bins, tuple(_COLUMNS), keys)
        if len(self._known) >= _KEPT:
            self._known.clear()
        for key, mark, text in rows:
            known = self._known.get(key)
            if known is None or known[0] != mark:
                is_calibration = len(json.loads(key)) > 2
                self._known[key] = (
                    mark,
                    Calibration.from_text(text) if is_calibration else LabelBins.from_text(mark, text),
                )
        return {model: self._reference(model) for model in models}

    def _reference(self, model: tuple[str, ...]) -> ReferenceFacts:
        _, bins = self._known.get(_key(*model), ("", None))
        _, calibration = self._known.get(_key(_CALIBRATION, *model), ("", None))
        return ReferenceFacts(
            bins if isinstance(bins, LabelBins) else None,
            calibration if isinstance(calibration, Calibration) else None,
        )


def _key(*model: str) -> str:
    return json.dumps(model)
