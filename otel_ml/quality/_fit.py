"""Bins the columns of the training data. numpy is needed here, but never during a prediction."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._digests import digest
from otel_ml._values import EXACT_FLOAT, written_number
from otel_ml.quality._bins import (
    NumericBins,
    bins_between,
    bins_by_value,
    coarse_edges,
    distinct_values,
    quantile_bins,
    score_bins,
)
from otel_ml.quality._bloom import BloomFilter
from otel_ml.quality._column_values import ColumnValues, RefusedError, read_column
from otel_ml.quality._feature import (
    BINS,
    CATEGORIES,
    DISCRETE_VALUES,
    RARE,
    SALT_LENGTH,
    Feature,
    category_labels,
    opaque_labels,
)

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Numbers = np.ndarray[Any, np.dtype[Any]]

FEATURES: Final = 32
"""Features kept, the most important first."""
RARE_KEPT: Final = 10_000
"""Digests of rare categories that are listed; more of them go into a filter."""
MOST_CATEGORIES: Final = 1_000_000
"""Categories of one feature, with rare ones."""
_SAMPLED: Final = 1000
"""Texts that are read to see whether they are numbers."""
_ID_ROWS: Final = 100
"""With at least so many rows, a whole-number column without repetition counts as an identifier."""
_RESERVED: Final = frozenset((semconv.OTHER, semconv.UNSEEN))


@dataclass(frozen=True)
class ColumnOptions:
    """What the user says about one column."""

    categorical: bool = False
    numeric: bool = False
    keep: bool = False
    periodic: bool = False
    sensitive: bool = False
    bins: int | tuple[float, ...] = BINS
    """Quantile bins of a number, or their inner edges."""


def fit_feature(name: str, values: Any, options: ColumnOptions) -> Feature:
    """Bins one column; raises `RefusedError` for empty and near-unique columns, dates and nested values."""
    found = read_column(values, numeric=options.numeric, categorical=options.categorical)
    feature = _fit(name, found, options)
    return replace(feature, periodic=options.periodic) if options.periodic else feature


def fit_outcome(values: Any, name: str, *, sensitive: bool = False) -> Feature:
    """Bins the model's output or the label: 20 uniform bins for a score in 0..1, classes or quantiles otherwise."""
    found = read_column(values)
    options = ColumnOptions(sensitive=sensitive)
    numbers = found.numbers
    if numbers is None or found.is_category:
        return _category(name, found, options)
    _refuse_empty(numbers, found)
    if _is_whole(numbers):
        is_class = len(found.counted()) <= DISCRETE_VALUES and not any(found.infinite)
        return _category(name, found, options) if is_class else _number(name, found, options)
    if numbers.min() < 0 or numbers.max() > 1:
        return _number(name, found, options)
    return _number(name, found, options, score_bins())


def _fit(name: str, found: ColumnValues, options: ColumnOptions) -> Feature:
    numbers = found.numbers
    if numbers is None or found.is_category:
        return _category(name, found, options)
    _refuse_empty(numbers, found)
    if options.numeric:
        return _number(name, found, options)
    if not options.keep:
        _refuse_identifier(numbers)
    is_category = _is_discrete(numbers) and (_is_whole(numbers) or (options.sensitive and _is_exact(numbers)))
    if is_category and not any(found.infinite):
        return _category(name, found, options)
    return _number(name, found, options)


def _is_whole(numbers: Numbers) -> bool:
    """Whether all are whole numbers; larger floats have no room for a fraction."""
    return numbers.dtype.kind != "f" or (bool((numbers == numbers.round()).all()) and _is_exact(numbers))


def _is_exact(numbers: Numbers) -> bool:
    """Whether no number is so large that floats skip whole numbers beside it."""
    return bool((abs(numbers) < EXACT_FLOAT).all())


def _is_discrete(numbers: Numbers) -> bool:
    """Whether a column has so few distinct values that each is a category, or a bin of its own."""
    distinct = len(distinct_values(numbers)[0])
    return distinct <= DISCRETE_VALUES and distinct * RARE <= len(numbers)


def _refuse_empty(numbers: Numbers, found: ColumnValues) -> None:
    if not len(numbers):
        raise RefusedError("it has no finite values" if any(found.infinite) else "it has no values")


def _refuse_identifier(numbers: Numbers) -> None:
    import numpy as np

    if len(numbers) >= _ID_ROWS and _is_whole(numbers) and len(np.unique(numbers)) == len(numbers):
        raise RefusedError("no whole number in it repeats: it looks like an identifier; `keep` monitors it")


def _category(name: str, found: ColumnValues, options: ColumnOptions) -> Feature:
    counts = found.counted()
    sensitive, total = options.sensitive, counts.total()
    _refuse_categories(counts, options)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [text for text, count in ranked if count >= RARE and text not in _RESERVED][:CATEGORIES]
    own_bin = frozenset(kept)
    rest = [item for item in ranked if item[0] not in own_bin]
    salt = secrets.token_hex(SALT_LENGTH // 2) if sensitive else ""
    rare = [digest(text, salt) for text, _ in rest]
    is_listed = len(rare) <= RARE_KEPT
    return Feature(
        name=name,
        kind="category",
        labels=tuple(category_labels(kept, sensitive=sensitive)),
        counts=(*(counts[text] for text in kept), sum(count for _, count in rest), 0),
        missing=found.missing,
        categories=tuple(digest(text, salt) if sensitive else text for text in kept),
        rare=tuple(rare) if is_listed else (),
        rare_filter="" if is_listed else BloomFilter.build(rare).to_text(),
        singletons=sum(count == 1 for _, count in rest),
        invalid=found.invalid + sum(found.infinite) + (0 if found.numbers is None else len(found.numbers) - total),
        sensitive=sensitive,
        salt=salt,
    )


def _refuse_categories(counts: Counter[str], options: ColumnOptions) -> None:
    total, distinct = counts.total(), len(counts)
    if not total:
        raise RefusedError("it has no values")
    if distinct > MOST_CATEGORIES:
        raise RefusedError(f"it has {distinct:,} distinct values, more than {MOST_CATEGORIES:,}")
    if not options.keep and distinct > RARE and distinct > total / 2:
        numbers = sum(written_number(text) is not None for text in islice(counts, _SAMPLED))
        are_numbers = numbers > 0.9 * min(distinct, _SAMPLED)
        hint = "its texts are numbers: `numeric` reads them" if are_numbers else "`keep` monitors it"
        raise RefusedError(
            f"{distinct} distinct values in {total} rows: it looks like an identifier or free text; {hint}"
        )


def _number(name: str, found: ColumnValues, options: ColumnOptions, bins: NumericBins | None = None) -> Feature:
    import numpy as np

    numbers, sensitive = np.asarray(found.numbers, dtype=np.float64), options.sensitive
    if bins is None:
        bins = _choose_bins(numbers, options)
    positions = np.searchsorted(np.asarray(bins.edges, dtype=np.float64), numbers, side="right")
    counts = np.bincount(positions, minlength=len(bins.labels)).tolist()
    counts[0] += found.infinite[0]
    counts[-1] += found.infinite[1]
    return Feature(
        name=name,
        kind="number",
        labels=opaque_labels(len(bins.labels)) if sensitive else bins.labels,
        counts=tuple(counts),
        missing=found.missing,
        edges=bins.edges,
        low=None if sensitive else float(numbers.min()),
        high=None if sensitive else float(numbers.max()),
        infinite=any(found.infinite),
        text_numbers=found.text_numbers,
        invalid=found.invalid,
        sensitive=sensitive,
    )


def _choose_bins(numbers: Floats, options: ColumnOptions) -> NumericBins:
    bins = options.bins
    if isinstance(bins, tuple):
        return bins_between(bins)
    if options.sensitive:
        return bins_between(coarse_edges(numbers, bins))
    is_by_value = not _is_whole(numbers) and _is_discrete(numbers)
    return bins_by_value(numbers, bins) if is_by_value else quantile_bins(numbers, bins)
