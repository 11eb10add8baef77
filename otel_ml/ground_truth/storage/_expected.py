"""Reads the predictions of a window and what their scores say of them, with labels or without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml._figures.bins import score_bin
from otel_ml._figures.estimates import EstimateSums, estimate_gaps
from otel_ml._figures.from_counts import confusion_figures
from otel_ml._figures.score_probabilities import Calibration
from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth.exact._rows import INTERVALS, NOTES, describe
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._reference_table import ReferenceTable
from otel_ml.ground_truth.storage._rows import unpack
from otel_ml.ground_truth.storage._windows import TOGETHER, TruthWindow, describe_models, in_window, list_models

if TYPE_CHECKING:
    import sqlalchemy as sa

_COLUMNS: Final = ("version", "predicted", "score", "probabilities", "label")
_NO_CALIBRATION: Final = (
    "no calibration is stored for these predictions: fit the profile of the model with score= and label=, and give it "
    "to Model(profile=)"
)
_SEVERAL: Final = "the versions in this window have other classes: name one version"


class _Expectations:
    """What the calibration of one set of classes says of predictions, and what their labels say."""

    def __init__(self, calibration: Calibration) -> None:
        self.classes = calibration.classes
        self.training_rows = calibration.rows
        size, is_binary = len(self.classes), calibration.is_binary
        self.everything = EstimateSums(size, is_binary=is_binary)
        self.labelled = EstimateSums(size, is_binary=is_binary)
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def add(self, calibration: Calibration, row: Sequence[Any]) -> None:
        """Takes a row of `_COLUMNS`."""
        _, predicted, score, packed, label = row
        chances = calibration.chances(score, None if packed is None else unpack(packed))
        place = None if predicted is None else calibration.place(predicted)
        if chances is None:
            return
        self.training_rows = min(self.training_rows, calibration.rows)
        if calibration.is_binary:
            self.everything.add_binary(place, max(score_bin(score), 0), chances[1])
        elif place is not None:
            self.everything.add(place, chances)
        if place is None:
            return
        actual = None if label is None else calibration.place(label)
        if actual is not None:
            self.labelled.add(place, chances)
            self.outcomes[self.classes[place], self.classes[actual]] += 1

    def figures(self) -> dict[str, Any]:
        """Returns the estimates and, of labelled predictions, the gap to what their labels say."""
        found = describe(self.everything.figures(self.training_rows))
        bound = self.everything.auc_bound()
        realised = confusion_figures(self.outcomes, self.classes[-1] if self.everything.is_binary else None)
        gaps = estimate_gaps(self.labelled, realised, self.training_rows)
        return {
            "estimated": sum(self.everything.predictions),
            "labelled": self.outcomes.total(),
            **found,
            **({} if bound is None else {"auc_bound": bound}),
            "gaps": {name: {"gap": gap, "z": z} for name, (gap, z) in gaps.items()},
        }


def measure_expected(database: StoreDatabase, window: TruthWindow) -> dict[str, Any]:
    """Returns the estimated figures of the predictions of a window; without a calibration only a note."""
    if database.has_events_only:
        raise StoreError("estimates need the references of the models, which ClickHouse does not have")
    by_classes: dict[tuple[str, ...], _Expectations] = {}
    with database.reading() as connection:
        calibrations: dict[str, Calibration | None] = {}
        for rows in connection.execute(_query(database, window)).partitions():
            _find_calibrations(connection, ReferenceTable(database), window.model, calibrations, rows)
            for row in rows:
                calibration = calibrations[row[0]]
                if calibration is not None:
                    by_classes.setdefault(calibration.classes, _Expectations(calibration)).add(calibration, row)
    if len(by_classes) != 1:
        note = _SEVERAL if by_classes else _NO_CALIBRATION
        if not calibrations:
            note = f"no prediction of {window.model!r} in this window; {describe_models(list_models(database))}"
        return {"estimated": 0, "labelled": 0, INTERVALS: {}, "gaps": {}, NOTES: [note]}
    (expectations,) = by_classes.values()
    return expectations.figures()


def _find_calibrations(
    connection: sa.Connection,
    references: ReferenceTable,
    model: str,
    known: dict[str, Calibration | None],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Adds the calibrations of the versions that are new."""
    new = {(model, row[0]) for row in rows} - {(model, version) for version in known}
    if new:
        found = references.find(connection, new)
        known.update({version: found[model, version].calibration for _, version in new})


def _query(database: StoreDatabase, window: TruthWindow) -> Any:
    tables = database.tables
    joined = tables.predictions.outerjoin(tables.labels, tables.of_prediction())
    query = database.sa.select(*tables.columns(_COLUMNS)).select_from(joined)
    query = in_window(tables.predictions, query, window)
    return query.execution_options(yield_per=TOGETHER)
