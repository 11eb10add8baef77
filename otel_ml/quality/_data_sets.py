"""Counts whole data sets against a profile: frames in memory, and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_ml._figures.data_sets.outcome_columns import label_values
from otel_ml.quality._drift import DriftCounts
from otel_ml.quality._feature import ProfileError
from otel_ml.quality._named_columns import NamedColumns
from otel_ml.quality._profile_content import ProfileContent
from otel_ml.quality.comparison import By, holds_moments
from otel_ml.quality.counting._cells import ABSENT
from otel_ml.quality.files import DataFileError, DataFiles


def count_frame(
    counts: DriftCounts, frame: Any, *, score: Any = None, label: Any = None, time: Any = None
) -> DriftCounts:
    """Counts a data set in memory, of any kind that `ReferenceProfile.fit` takes.

    Raises:
        ProfileError: A named column does not exist, the columns differ in length, or it is not clear when a row was.
    """
    data = NamedColumns(frame, counts.profile.columns)
    columns = data.columns
    if not columns:
        return counts
    score, label, time = (None if name is None else data.name(name) for name in (score, label, time))
    if counts.by is not None and time is None and data.rows:
        time = _find_time(columns)
    counts.count(
        columns,
        data.rows,
        output=None if score is None else columns[score],
        label=None if label is None else label_values(columns[label]),
        moments=None if time is None else columns[time],
    )
    return counts


def scan_files(  # noqa: PLR0913
    profile: ProfileContent,
    files: DataFiles,
    *,
    score: str | None = None,
    label: str | None = None,
    by: By | None = None,
    time: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> DriftCounts:
    """Counts files batch by batch in constant memory.

    Args:
        profile: The reference; it says what the cells of a text file mean.
        files: The data.
        score: Column with the model's output.
        label: Column with the true value.
        by: Also counts each hour, day or week by itself.
        time: Column with the moment of each row; it can be left out if only one column holds datetimes.
        progress: Called after each batch with the rows so far.

    Raises:
        DataFileError: A file cannot be read, has no rows or no such column.
        ProfileError: It is not clear when a row was.
    """
    for name in (score, label, time):
        if name is not None and name not in (*files.names, *files.index):
            raise DataFileError(f"{files} has no column {name!r}; there are {', '.join(files.names)}")
    if by is not None and time is None:
        names = (*files.names, *files.index)
        time = _find_time(next((batch.columns for batch in files.batches(names)), {}))
    scan = DriftCounts(profile, by=by)
    # a feature may be what pandas calls the index of this file
    wanted = [
        *scan.find_columns((*files.names, *files.index)),
        *(name for name in (score, label, time) if name is not None),
    ]
    for batch in files.batches(wanted):
        scan.count(
            batch.columns,
            batch.rows,
            output=None if score is None else batch.columns.get(score, ABSENT),
            label=None if label is None else label_values(batch.columns.get(label, ABSENT)),
            moments=None if time is None else batch.columns.get(time),
        )
        if progress is not None:
            progress(scan.rows)
    if not scan.rows:
        raise DataFileError(f"{files} has no rows")
    return scan


def _find_time(columns: Mapping[str, Sequence[object]]) -> str:
    found = [name for name, values in columns.items() if holds_moments(values)]
    if len(found) != 1:
        which = f"datetimes are in {', '.join(found)}" if found else "no column holds datetimes"
        raise ProfileError(f"name the column with the moment of each row: {which}")
    return found[0]
