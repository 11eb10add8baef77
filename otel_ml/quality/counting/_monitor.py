"""Counts each predicted row into the bins of the reference and against the rules of the schema."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_ml import _guard, _process
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._values.arrays import Distinct
from otel_ml.quality._column_names import ColumnNames
from otel_ml.quality._profile_content import ProfileContent
from otel_ml.quality._schema import Schema
from otel_ml.quality.counting._cells import ABSENT, Cells, Layout, Slot
from otel_ml.quality.counting._columns import Read, count_column, read_live
from otel_ml.quality.counting._estimator import Estimator

_CUT: Final = "__truncated__"
"""Key of a row from which features were left out."""
_ROWS_AS_COLUMNS: Final = 128
"""From this number on, rows with the same names cost less as columns: half as much at 256."""


class FeatureMonitor:
    """Counts one model's inputs and outputs since the process started. Thread-safe; keeps integers and no values.

    Without a schema, that of the profile is used (`Schema.from_profile`). With the calibration of its scores in its own
    classes, what they say of its performance is counted too. `segments` are further columns that `names` has to find.
    """

    def __init__(
        self,
        identity: Mapping[str, str],
        *,
        profile: ProfileContent | None,
        schema: Schema | None = None,
        calibration: Calibration | None = None,
        segments: Sequence[str] = (),
    ) -> None:
        self.identity = dict(identity)
        """``ml.model.name``, ``ml.model.version`` and ``ml.model.role``."""
        self.profile = profile
        self.schema = Schema.from_profile(profile) if schema is None and profile is not None else schema
        self.layout = Layout(profile, self.schema)
        self.cells = Cells(self.layout, None if calibration is None else Estimator(calibration))
        self.declared: frozenset[str] = frozenset(slot.name for slot in self.layout.slots)
        """Columns of profile and schema, including sensitive ones."""
        self.sensitive: frozenset[str] = frozenset().union(
            *(part.sensitive for part in (profile, self.schema) if part is not None)
        )
        """Columns whose values never leave the process, monitored or not."""
        names = (*(() if profile is None else profile.columns), *self.declared)
        self.names = ColumnNames(names, self.sensitive).including(segments)
        """Finds the columns, including those that are not monitored, under other spellings of their names."""
        self._plan = [
            (slot.name, slot.edges, slot.base, slot.low, slot.high, slot.lookup, slot) for slot in self.layout.slots
        ]
        _process.in_child("quality.fork", self._reset_after_fork)

    @_guard.guarded("quality.observe_row")
    def observe_row(self, row: Mapping[str, object], prediction: str | float | None, score: float | None) -> None:
        """Counts one row and its output; an empty row means that the features are unknown. Never raises.

        Args:
            row: Values by column, or their marks; undeclared columns are ignored unless the schema is closed.
            prediction: Canonical class text, or the predicted number of a regression.
            score: The score, if there is one.
        """
        with self.cells.lock:
            self._observe(row, prediction, score)

    @_guard.guarded("quality.observe_rows")
    def observe_rows(
        self, rows: Sequence[Mapping[str, object]], predictions: Sequence[object], scores: Sequence[float | None]
    ) -> None:
        """Counts rows that were read whole and their outputs, with the same result as one by one."""
        columns = _transpose(rows) if len(rows) >= _ROWS_AS_COLUMNS else None
        if columns is not None:
            self._count_columns(columns, len(rows))
            self._count_outputs(predictions, scores, len(rows))
            return
        with self.cells.lock:
            for row, prediction, score in zip(rows, predictions, scores, strict=True):
                self._observe(row, prediction, score)

    def _observe(self, row: Mapping[str, object], prediction: object, score: float | None) -> None:
        cells, output = self.cells, self.layout.output
        if row:
            self._count_row(row, cells)
        if output is not None:
            value = _select_output(output, prediction, score)
            if output.edges is not None and type(value) is float and -math.inf < value < math.inf:
                cells.bins[output.base + bisect_right(output.edges, value)] += 1
            else:
                cells.count(output, output.place(value))
        if cells.estimator is not None and score is not None:
            cells.estimator.add(prediction, score)

    def _count_row(self, row: Mapping[str, object], cells: Cells) -> None:
        bins, get = cells.bins, row.get
        violated, present = False, 0
        for name, edges, base, low, high, lookup, slot in self._plan:
            value: Any = get(name, ABSENT)
            cls = type(value)
            if edges is not None:
                # a comparison with NaN is false, so that only numbers in the range take the fast path
                if (cls is float or cls is int) and low <= value <= high:
                    bins[base + bisect_right(edges, value)] += 1
                    present += 1
                    continue
            elif cls is str or cls is int or cls is float:
                place = lookup.get(value)
                if place is not None:
                    bins[place] += 1
                    present += 1
                    continue
            present += value is not ABSENT
            placement = slot.place(value)
            violated |= cells.count(slot, placement)
            if placement.bin is not None and placement.rule is None:
                slot.remember(value, placement.bin)
        if self.layout.closed and len(row) > present:
            extra = len(row) - present - self._is_cut(row)
            cells.violate(self.layout.extra, "extra_column", extra)
            violated |= extra > 0
        cells.invalid += violated

    def _is_cut(self, columns: Mapping[str, object]) -> bool:
        return _CUT in columns and _CUT not in self.declared

    @_guard.guarded("quality.observe_batch")
    def observe_batch(
        self,
        columns: Mapping[str, Sequence[object]],
        predictions: Sequence[object] | None,
        scores: Sequence[object] | None,
        rows: int,
    ) -> None:
        """Counts a batch, with the same result as its rows one by one; numpy and pandas columns are counted as a whole.

        Args:
            columns: Values by column, one per row; empty means that the features are unknown.
            predictions: Canonical class texts or predicted numbers.
            scores: The scores, if there are any.
            rows: Rows of the batch; a column of another length breaks the rule ``shape``.
        """
        self._count_columns(columns, rows)
        self._count_outputs(predictions, scores, rows)

    @_guard.guarded("quality.observe_features")
    def observe_features(self, columns: Mapping[str, Any], rows: int) -> None:
        """Counts the features of some rows of a batch, without their outputs.

        The columns may be those of the caller: they are not changed, and nothing of them is kept.
        """
        self._count_columns(columns, rows, read_live)

    @_guard.guarded("quality.observe_outputs")
    def observe_outputs(
        self,
        predictions: Sequence[object] | Distinct | None,
        scores: Sequence[object] | None,
        rows: int,
    ) -> None:
        """Counts the outputs of some rows of a batch, without their features."""
        self._count_outputs(predictions, scores, rows)

    @_guard.guarded("quality.observe_probabilities")
    def observe_probabilities(self, predictions: Sequence[object] | Distinct | None, probabilities: Any) -> None:
        """Counts the probability of each class, of a model with several of them, beside its outputs.

        Args:
            predictions: Canonical class texts.
            probabilities: Of each row one for each declared class, or None.
        """
        with self.cells.lock:
            if self.cells.estimator is not None:
                self.cells.estimator.add_rows(predictions, None, probabilities, len(probabilities))

    def _count_columns(self, columns: Mapping[str, Any], rows: int, read: Read | None = None) -> None:
        if rows <= 0 or not columns:
            return
        fresh = Cells(self.layout)
        invalid = bytearray(rows)
        for slot in self.layout.slots:
            values = columns.get(slot.name, ABSENT)
            _guard.call("quality.observe_column", count_column, slot, values, fresh, invalid, read)
        extra = len(columns) - sum(slot.name in columns for slot in self.layout.slots) - self._is_cut(columns)
        if self.layout.closed and extra:
            fresh.violate(self.layout.extra, "extra_column", extra * rows)
            invalid = bytearray(b"\x01") * rows
        fresh.invalid = rows - invalid.count(0)
        self.cells.add(fresh)

    def _count_outputs(self, predictions: Any, scores: Any, rows: int) -> None:
        output = self.layout.output
        with self.cells.lock:
            if rows > 0 and self.cells.estimator is not None:
                classes = predictions if isinstance(predictions, list | Distinct) else None
                self.cells.estimator.add_rows(classes, scores, None, rows)
        if rows <= 0 or output is None:
            return
        fresh = Cells(self.layout)
        values = _select_outputs(output, predictions, scores)
        count_column(output, ABSENT if values is None else values, fresh, bytearray(rows))
        self.cells.add(fresh)

    def _reset_after_fork(self) -> None:
        """In a forked child: starts at 0, because the child is another instance and the parent keeps its counts."""
        self.cells.reset()


def _transpose(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]] | None:
    """Returns the columns of rows that have the same names; None if they do not."""
    names = rows[0].keys()
    if any(len(row) != len(names) for row in rows):
        return None
    try:
        return {name: [row[name] for row in rows] for name in names}
    except KeyError:
        return None


def _select_output(output: Slot, prediction: object, score: object) -> object:
    """Returns what is compared with the reference output: the score or number if that was binned, else the class."""
    if output.edges is None:
        return prediction
    return prediction if score is None and not isinstance(prediction, str) else score


def _select_outputs(output: Slot, predictions: Any, scores: Any) -> Any:
    """Returns what `_select_output` does for many rows, by column if they are columns; None if nothing is compared."""
    if type(predictions) is list and type(scores) is list:
        return [_select_output(output, *pair) for pair in zip(predictions, scores, strict=True)]
    if output.edges is None or scores is None:
        return None if output.edges is not None and isinstance(predictions, Distinct) else predictions
    return scores
