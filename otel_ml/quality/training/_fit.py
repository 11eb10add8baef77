"""Bins the columns of the training data. numpy is needed here, but never during a prediction."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Any, Final

from otel_ml import semconv
from otel_ml._digests import digest
from otel_ml._values import written_number
from otel_ml.quality._bloom import BloomFilter
from otel_ml.quality._feature import (
    BINS,
    CATEGORIES,
    DISCRETE_VALUES,
    RARE,
    SALT_LENGTH,
    Feature,
    ProfileError,
    category_labels,
    opaque_labels,
)
from otel_ml.quality.summaries import MOST_CATEGORIES, ColumnSummary, WeightedNumbers
from otel_ml.quality.training._bins import (
    NumericBins,
    bins_between,
    bins_by_value,
    coarse_edges,
    distinct_values,
    quantile_bins,
    score_bins,
)
from otel_ml.quality.training._column_values import read_column

FEATURES: Final = 32
"""Features kept, the most important first."""
RARE_KEPT: Final = 10_000
"""Digests of rare categories that are listed; more of them go into a filter."""
_SAMPLED: Final = 1000
"""Texts that are read to see whether they are numbers."""
_ID_ROWS: Final = 100
"""With at least so many rows, a whole-number column without repetition counts as an identifier."""
_FEW_INVALID: Final = 0.05
"""Share of other values that a column of numbers may have."""
_RESERVED: Final = frozenset((semconv.OTHER, semconv.UNSEEN))


class RefusedError(ProfileError):
    """A column that cannot be a feature; the message is the reason."""


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


def summarize(values: Any, options: ColumnOptions) -> ColumnSummary:
    """Reads what is kept of a column that becomes a feature."""
    edges = options.bins if isinstance(options.bins, tuple) else ()
    return read_column(values, numeric=options.numeric, categorical=options.categorical, edges=edges)


def bin_feature(name: str, found: ColumnSummary, rows: int, options: ColumnOptions) -> Feature:
    """Bins one column of so many rows."""
    feature = replace(_bin(name, found, options), missing=rows - found.present)
    return replace(feature, periodic=options.periodic) if options.periodic else feature


def summarize_output(values: Any) -> ColumnSummary:
    """Reads what is kept of the model's output, or of the label."""
    return read_column(values, edges=score_bins().edges)


def bin_output(found: ColumnSummary, rows: int, name: str, *, sensitive: bool = False) -> Feature:
    """Bins the output or the label of so many rows."""
    feature = _bin_output(name, found, ColumnOptions(sensitive=sensitive))
    return replace(feature, missing=rows - found.present)


def _bin_output(name: str, found: ColumnSummary, options: ColumnOptions) -> Feature:
    if not _is_number(found, options):
        return _category(name, found, options)
    numbers = found.numbers.weighted()
    _refuse_empty(numbers, found)
    if numbers.is_whole and found.numbers.is_exact:
        is_class = _count_distinct(found, numbers) <= DISCRETE_VALUES and not any(found.infinite)
        return _category(name, found, options) if is_class else _number(name, found, numbers, options)
    if numbers.values[0] < 0 or numbers.values[-1] > 1:
        return _number(name, found, numbers, options)
    return _number(name, found, numbers, options, score_bins())


def _bin(name: str, found: ColumnSummary, options: ColumnOptions) -> Feature:
    if not _is_number(found, options):
        return _category(name, found, options)
    numbers = found.numbers.weighted()
    _refuse_empty(numbers, found)
    if options.numeric:
        return _number(name, found, numbers, options)
    if not options.keep:
        _refuse_identifier(found)
    distinct = _count_distinct(found, numbers)
    is_discrete = distinct <= DISCRETE_VALUES and distinct * RARE <= len(numbers)
    is_category = is_discrete and (numbers.is_whole or (options.sensitive and found.numbers.is_exact))
    if is_category and not any(found.infinite):
        return _category(name, found, options)
    return _number(name, found, numbers, options, by_value=is_discrete and not numbers.is_whole)


def _is_number(found: ColumnSummary, options: ColumnOptions) -> bool:
    """Whether a column is one of numbers: by the user's word, or because hardly anything else is in it."""
    if found.is_category or options.numeric:
        return options.numeric
    others = found.texts.rows + found.unreadable.total()
    if not others or not len(found.numbers):
        return not others
    return others < _FEW_INVALID * found.present and _count_distinct(found) > DISCRETE_VALUES


def _count_distinct(found: ColumnSummary, numbers: WeightedNumbers | None = None) -> int:
    """Returns how many distinct numbers there are; fractions that differ by rounding only are one."""
    wholes = found.numbers.wholes
    if wholes is not None and wholes.is_complete:  # exact also where floats skip whole numbers
        return len(wholes.counts)
    return len(distinct_values(found.numbers.weighted() if numbers is None else numbers)[0])


def _refuse_empty(numbers: WeightedNumbers, found: ColumnSummary) -> None:
    if not len(numbers):
        reason = next(
            iter(found.unreadable), "none of its texts is a number" if found.texts.rows else "it has no values"
        )
        raise RefusedError("it has no finite values" if any(found.infinite) else reason)


def _refuse_identifier(found: ColumnSummary) -> None:
    numbers = found.numbers
    if len(numbers) >= _ID_ROWS and numbers.is_whole and not numbers.repeats():
        raise RefusedError("no whole number in it repeats: it looks like an identifier; `keep` monitors it")


def _count_categories(found: ColumnSummary) -> Counter[str]:
    """Returns the counts of all categories; refuses a column that has too many, or hardly any."""
    unreadable = found.unreadable.total()
    if unreadable + sum(found.infinite) > found.present / 2:
        reasons = sorted(found.unreadable.items(), key=lambda item: (-item[1], item[0]))
        raise RefusedError(reasons[0][0] if reasons else "it has no finite values")
    numbers = found.numbers.count_texts()
    if found.texts.counts is None:
        raise RefusedError(f"it has more than {MOST_CATEGORIES:,} distinct values")
    if numbers is None:
        raise RefusedError(
            "it has too many distinct numbers for categories; `categorical` or `numeric` says what it is"
        )
    return found.texts.counts + numbers if numbers else found.texts.counts


def _category(name: str, found: ColumnSummary, options: ColumnOptions) -> Feature:
    counts = _count_categories(found)
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
        missing=0,
        categories=tuple(digest(text, salt) if sensitive else text for text in kept),
        rare=tuple(rare) if is_listed else (),
        rare_filter="" if is_listed else BloomFilter.build(rare).to_text(),
        singletons=sum(count == 1 for _, count in rest),
        invalid=found.present - total,
        sensitive=sensitive,
        salt=salt,
    )


def _refuse_categories(counts: Counter[str], options: ColumnOptions) -> None:
    total, distinct = counts.total(), len(counts)
    if not total:
        raise RefusedError("it has no values")
    if not options.keep and distinct > RARE and distinct > total / 2:
        numbers = sum(written_number(text) is not None for text in nsmallest(_SAMPLED, counts))
        are_numbers = numbers > 0.9 * min(distinct, _SAMPLED)
        hint = "its texts are numbers: `numeric` reads them" if are_numbers else "`keep` monitors it"
        raise RefusedError(
            f"{distinct} distinct values in {total} rows: it looks like an identifier or free text; {hint}"
        )


def _number(  # noqa: PLR0913
    name: str,
    found: ColumnSummary,
    numbers: WeightedNumbers,
    options: ColumnOptions,
    bins: NumericBins | None = None,
    *,
    by_value: bool = False,
) -> Feature:
    sensitive, is_given = options.sensitive, bins is not None or isinstance(options.bins, tuple)
    if bins is None:
        bins = _choose_bins(numbers, options, by_value=by_value)
    counts = list(found.binned) if is_given else numbers.count_bins(bins.edges)
    counts[0] += found.infinite[0]
    counts[-1] += found.infinite[1]
    return Feature(
        name=name,
        kind="number",
        labels=opaque_labels(len(bins.labels)) if sensitive else bins.labels,
        counts=tuple(counts),
        missing=0,
        edges=bins.edges,
        low=None if sensitive else float(numbers.values[0]),
        high=None if sensitive else float(numbers.values[-1]),
        infinite=any(found.infinite),
        text_numbers=found.text_numbers,
        invalid=found.texts.rows + found.unreadable.total(),
        sensitive=sensitive,
    )


def _choose_bins(numbers: WeightedNumbers, options: ColumnOptions, *, by_value: bool) -> NumericBins:
    bins = options.bins
    if isinstance(bins, tuple):
        return bins_between(bins)
    if options.sensitive:
        return bins_between(coarse_edges(numbers, bins))
    return bins_by_value(numbers, bins) if by_value else quantile_bins(numbers, bins)
