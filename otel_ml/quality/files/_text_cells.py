"""Text cells and the values that they mean: numbers, booleans, moments or texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_ml.quality._feature import Feature
from otel_ml.quality.files._errors import load_pyarrow

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

NULLS: Final = frozenset(
    (
        *("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "#N/A N/A"),
        *("NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "NaT"),
        *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
"""Cells that mean a missing value: those of pandas, and NaT."""
TextKind = Literal["integer", "number", "boolean", "moment", "text"]
NUMBER_SHARE: Final = 0.95
"""A column of text holds numbers if at least this share of its cells does, as in `fit`; the others are invalid."""
_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:[+-]?inf(inity)?)$"
_DECIMAL_COMMA: Final = r"^([+-]?\d+),(\d+)$"
_CODE: Final = r"^[+-]?0\d"
"""A whole number with a leading zero is a code."""


@dataclass(frozen=True)
class NumberCells:
    """A column of numbers, some of whose cells may be no numbers."""

    numbers: Array
    """NaN where the cell is empty or no number."""
    invalid: Array | None = None
    """Which cells are no numbers; None if all are."""

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: Array) -> NumberCells:
        """Returns the cells of some rows."""
        return NumberCells(self.numbers[rows], None if self.invalid is None else self.invalid[rows])


class TextCells:
    """A column of a text file, not yet typed."""

    def __init__(self, array: Any, nulls: Collection[str] = NULLS, decimal: str = ".") -> None:
        from pyarrow import compute

        self._array = compute.utf8_trim_whitespace(array)
        self._nulls = nulls
        self._decimal = decimal

    def __len__(self) -> int:
        return len(self._array)

    def read_as(self, feature: Feature | None) -> Sequence[object] | NumberCells:
        """Returns the values in the type that the profile has: numbers, or texts of a category."""
        if feature is not None and feature.kind == "number":
            return self.numbers()
        kept = () if feature is None else [text for text in ("", *self._nulls) if _is_category(feature, text)]
        found: Sequence[object] = self.texts(kept)
        return found

    def texts(self, kept: Collection[str] = ()) -> Any:
        """Returns an arrow array of texts, null where the cell means a missing value and is none of the kept ones."""
        from pyarrow import compute

        pyarrow = load_pyarrow()
        nulls = [text for text in ("", *self._nulls) if text not in kept]
        is_null = compute.is_in(self._array, value_set=pyarrow.array(nulls, pyarrow.string()))
        return compute.if_else(is_null, pyarrow.scalar(None, pyarrow.string()), self._array)

    def texts_with_points(self) -> Any:
        """Returns the same, but with a point in each number that is written with a decimal comma."""
        from pyarrow import compute

        texts = self.texts()
        return texts if self._decimal == "." else compute.replace_substring_regex(texts, _DECIMAL_COMMA, r"\1.\2")

    def numbers(self) -> NumberCells:
        """Returns the numbers; cells that are none are marked."""
        from pyarrow import compute

        pyarrow = load_pyarrow()
        texts = self._number_texts()
        try:
            return NumberCells(_to_numpy(texts.cast(pyarrow.float64())))
        except pyarrow.ArrowInvalid:
            plain = compute.replace_substring_regex(texts, r"^\+", "")
            is_number = compute.match_substring_regex(plain, _NUMBER)
            good = compute.if_else(is_number, plain, pyarrow.scalar(None, pyarrow.string()))
            invalid = compute.invert(compute.fill_null(is_number, True))
            return NumberCells(_to_numpy(good.cast(pyarrow.float64())), invalid.to_numpy(zero_copy_only=False))

    def values(self, kind: TextKind) -> Any:
        """Returns the values of a kind: an array, or a list of booleans and None."""
        if kind == "text":
            return self.texts().to_pylist()
        if kind == "boolean":
            return self._cast(load_pyarrow().bool_()).to_pylist()
        if kind == "moment":
            return _to_numpy(self._moments())
        if kind == "integer":
            return _to_numpy(self._cast(load_pyarrow().int64()))
        found = self.numbers()
        if found.invalid is None or not found.invalid.any():
            return found.numbers
        mixed = found.numbers.astype(object)
        mixed[found.invalid] = _to_numpy(self._array)[found.invalid]
        return mixed

    def moments(self) -> Array | None:
        """Returns datetimes if all cells are moments in ISO form; None otherwise, and if all are empty."""
        found = self._moments()
        return None if found is None or found.null_count == len(found) else _to_numpy(found)

    def count_codes(self) -> int:
        """Returns how many cells are whole numbers with a leading zero, such as ``01``."""
        from pyarrow import compute

        likely = compute.filter(
            self._array, compute.or_(*(compute.starts_with(self._array, start) for start in ("0", "-0")))
        )
        return int(compute.sum(compute.match_substring_regex(likely, _CODE)).as_py() or 0)

    def is_castable(self, kind: TextKind) -> bool:
        """Whether all cells that are not empty have this kind."""
        pyarrow = load_pyarrow()
        if kind == "moment":
            return self._moments() is not None
        return self._cast({"integer": pyarrow.int64(), "boolean": pyarrow.bool_()}[kind]) is not None

    def _cast(self, target: Any) -> Any:
        pyarrow = load_pyarrow()
        try:
            return self.texts().cast(target)
        except pyarrow.ArrowInvalid:
            return None

    def _moments(self) -> Any:
        pyarrow = load_pyarrow()
        local = self._cast(pyarrow.timestamp("us"))
        return self._cast(pyarrow.timestamp("us", tz="UTC")) if local is None else local

    def _number_texts(self) -> Any:
        from pyarrow import compute

        texts = self.texts()
        return texts if self._decimal == "." else compute.replace_substring(texts, self._decimal, ".")


def _is_category(feature: Feature, text: str) -> bool:
    return feature.find_text_bin(text) != len(feature.labels) - 1


def _to_numpy(array: Any) -> Any:
    return array.to_numpy(zero_copy_only=False)
