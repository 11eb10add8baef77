"""Splits the rows of a data set by hour, day or week."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_ml._values import line
from otel_ml._values.missing import is_missing
from otel_ml._verdicts import OK, TOO_FEW
from otel_ml.quality._feature import ProfileError
from otel_ml.quality.comparison._feature_drift import FeatureDrift, with_findings
from otel_ml.quality.counting._cells import ABSENT
from otel_ml.quality.files import TextCells

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

By = Literal["hour", "day", "week"]
UNKNOWN: Final = "unknown"
"""The period of rows without a moment."""
_EPOCH_UNITS: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
"""Numbers below the bound are seconds, milliseconds, microseconds since 1970; larger ones nanoseconds."""
_SHOWN: Final = 60
"""Characters of a value in a message."""


@dataclass(frozen=True)
class Period:
    """The verdicts on the rows of one period."""

    label: str
    """Start of the period, such as ``2026-06-01``."""
    rows: int
    features: tuple[FeatureDrift, ...]

    @property
    def verdict(self) -> str:
        """The most severe verdict on a feature."""
        found = with_findings(self.features)
        if found:
            return found[0].verdict
        return OK if any(feature.verdict == OK for feature in self.features) else TOO_FEW


def read_moments(values: object) -> Array | None:
    """Returns the moments in a column as datetimes, in UTC if they have a zone; None if it holds none.

    Datetimes, dates, ISO texts, and seconds, milliseconds, microseconds or nanoseconds since 1970 are understood.
    """
    import numpy as np

    if isinstance(values, TextCells):
        found = values.moments()
        if found is None:
            cells = values.numbers()
            return _from_epoch(cells.numbers) if cells.invalid is None else None
        return found.astype("datetime64[s]")
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]")
    if array.dtype.kind in "iuf":
        return _from_epoch(array)
    return _from_objects(array.tolist())


def holds_moments(values: Any) -> bool:
    """Whether a column holds datetimes, dates or ISO texts; numbers do not count as moments here."""
    import numpy as np

    if isinstance(values, TextCells):
        return values.moments() is not None
    array = np.asarray(values)
    return array.dtype.kind == "M" or (array.dtype.kind in "OUT" and _from_objects(array.tolist(), ()) is not None)


def split_periods(moments: object, rows: int, by: By) -> Iterator[tuple[str, Array]]:
    """Yields the label of each period and the positions of its rows."""
    import numpy as np

    if not rows:
        return
    found = None if moments is None or moments is ABSENT else read_moments(moments)
    if found is None:
        if moments is not None and moments is not ABSENT:
            raise ProfileError(
                "the time column holds no datetimes, ISO texts such as 2026-06-30 or seconds since 1970"
                f"{_describe_unread(moments)}"
            )
        yield UNKNOWN, np.arange(rows)
        return
    if by == "hour":
        starts = found.astype("datetime64[h]")
    else:
        starts = found.astype("datetime64[D]")
        if by == "week":  # 1970-01-01 was a Thursday; weeks start on Monday
            starts = starts - (starts.astype(np.int64) + 3) % 7 * np.timedelta64(1, "D")
    for start in np.unique(starts[~np.isnat(starts)]):
        yield f"{start}:00".replace("T", " ") if by == "hour" else str(start), np.flatnonzero(starts == start)
    unknown = np.flatnonzero(np.isnat(starts))
    if len(unknown):
        yield UNKNOWN, unknown


def _describe_unread(values: Any) -> str:
    """Returns the end of a message that names the first value that is no moment."""
    for value in values.texts().to_pylist() if isinstance(values, TextCells) else list(values):
        if value is not ABSENT and not is_missing(value) and read_moments([value]) is None:
            return f", but {line(repr(value), _SHOWN)}"
    return ""


def take_rows(values: Any, places: Array, rows: int) -> Any:
    """Returns the values at these positions of a column of any kind."""
    import numpy as np

    if values is ABSENT or len(places) == rows:
        return values
    if isinstance(values, np.ndarray):
        return values[places]
    if hasattr(values, "iloc"):
        return values.iloc[places]
    if hasattr(values, "take"):  # cells, arrow arrays
        return values.take(places)
    if hasattr(values, "to_numpy"):
        return values.to_numpy()[places]
    return [values[place] for place in places.tolist()]


def _from_epoch(numbers: Array) -> Array | None:
    import numpy as np

    floats = numbers.astype(np.float64)
    present = floats[np.isfinite(floats)]
    if not len(present) or present.min() < 1e8:  # before 1973: a count, a year or an hour, but no moment
        return None
    unit = next((unit for bound, unit in _EPOCH_UNITS if present.max() < bound), "ns")
    factor = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    whole = np.where(np.isfinite(floats), floats, 0) // factor
    moments = whole.astype("datetime64[s]")
    moments[~np.isfinite(floats)] = np.datetime64("NaT", "s")
    return moments


def _from_objects(values: list[Any], numbers: tuple[type, ...] = (int, float)) -> Array | None:
    import numpy as np
    import pyarrow as pa

    plain = [None if value is ABSENT or is_missing(value) else value for value in values]
    try:
        array = pa.array(plain)
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            found = TextCells(array).moments()
        elif pa.types.is_temporal(array.type):
            found = array.to_numpy(zero_copy_only=False)
        elif all(value is None or type(value) in numbers for value in plain):
            found = _from_epoch(np.array(plain, dtype=np.float64))
        else:
            found = None
    except (pa.ArrowException, TypeError, ValueError):
        return None
    return None if found is None else found.astype("datetime64[s]")
