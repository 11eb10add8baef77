"""The columns by whose values a model's predictions are counted, and which segment a value belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_ml import semconv
from otel_ml._values import cell, class_text
from otel_ml._values.equality import find_equal, has_two_spellings
from otel_ml._values.missing import is_missing
from otel_ml.config import ConfigError
from otel_ml.quality import ColumnNames, Feature, ReferenceProfile, Schema, column_key
from otel_ml.semconv import SEGMENT_COLUMNS, SEGMENT_VALUES


@dataclass(frozen=True)
class SegmentColumn:
    """One column by whose values predictions are counted."""

    name: str
    values: tuple[str, ...] | None
    """Its segments, as canonical texts; None for the first ones that come."""
    is_sensitive: bool = False
    """Whether its values leave the process only as `semconv.SEGMENT_GROUP`."""
    feature: Feature | None = None
    """Finds the group of a sensitive value without a closed set: the profile has no categories of it, only digests."""

    def exported(self) -> list[str] | None:
        """Returns the segments that are known beforehand, as they are exported; None for the first ones that come."""
        if self.is_sensitive:
            count = len(self.values or ()) or len(self.feature.categories[:SEGMENT_VALUES] if self.feature else ())
            return [_group(position) for position in range(count)]
        return None if self.values is None else list(self.values)

    def segment(self, value: object, admit: Callable[[str], str]) -> str:
        """Returns the segment of a value, as it is exported.

        Args:
            value: The value.
            admit: Returns a text that may be a segment, or else `semconv.OTHER`, if the segments are the first ones
                that come.
        """
        if is_missing(value):
            return semconv.SEGMENT_MISSING_VALUE
        text = _segment_text(value)
        if not text:
            return semconv.OTHER if text is None else semconv.SEGMENT_MISSING_VALUE
        if self.values is None and self.feature is None:
            return admit(text)
        position = self._position(text)
        if position is None:
            return semconv.OTHER
        return _group(position) if self.is_sensitive else (self.values or ())[position]

    def _position(self, text: str) -> int | None:
        if self.values is not None:
            found = find_equal(text, self.values)
            return None if found is None else self.values.index(found)
        place = SEGMENT_VALUES if self.feature is None else self.feature.find_text_bin(text)
        return place if place < len(self.exported() or ()) else None


def _segment_text(value: object) -> str | None:
    """Returns the canonical text of a value; that of a date, a time or a UUID is the one that a copied row has."""
    text = class_text(value)
    return class_text(cell(value)) if text is None else text


def _group(position: int) -> str:
    return semconv.SEGMENT_GROUP.format(number=position + 1)


def segment_columns(
    segments: Any, fairness: Any, profile: ReferenceProfile | None, schema: Schema | None
) -> tuple[SegmentColumn, ...]:
    """Returns the segment columns of a model.

    Args:
        segments: Their names, or their closed sets of values by name; None for a set that is learned.
        fairness: Those that may be sensitive; names beyond the segments become segments too.
        profile: Knows the categories of columns, the most frequent ones first, and which are sensitive.
        schema: Knows, too, which are sensitive.

    Raises:
        ConfigError: A column is sensitive and not declared for fairness, there are too many columns or values, or they
            are not what they should be.
    """
    sets = _closed_sets(segments)
    fair = _names("fairness", fairness)
    sets.update((name, None) for name in fair if name not in sets)
    if len(sets) > SEGMENT_COLUMNS:
        raise ConfigError(f"{len(sets)} segment columns ({', '.join(sets)}): a model has at most {SEGMENT_COLUMNS}")
    if len(set(map(column_key, sets))) < len(sets):
        raise ConfigError(f"two segment columns have the same name: {', '.join(sets)}")
    columns = _column_names(profile, schema)
    return tuple(
        _column(name, values, is_fair=name in fair, columns=columns, feature=_feature(name, profile, columns))
        for name, values in sets.items()
    )


def segment_names(segments: Sequence[str]) -> ColumnNames | None:
    """Returns what finds the segment columns of a model without profile and schema; None without such columns."""
    return ColumnNames(segments) if segments else None


def _closed_sets(segments: Any) -> dict[str, tuple[str, ...] | None]:
    if isinstance(segments, Mapping):
        names = _names("segments", list(segments))
        return {name: _values(name, values) for name, values in zip(names, segments.values(), strict=True)}
    return dict.fromkeys(_names("segments", segments))


def _names(argument: str, given: Any) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"{argument}={given!r} is not a sequence of column names: write {argument}=({given!r},)")
    names = list(given)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError(f"{argument}={given!r}: the name of a column is a text that is not empty")
    return names


def _values(name: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"segments: the values of {name!r} are a sequence, or None to learn them, not {given!r}")
    texts = [_segment_text(value) for value in given]
    if not texts or not all(texts):
        raise ConfigError(f"segments: the values of {name!r} are texts or numbers, at least one and none empty")
    values = tuple(dict.fromkeys(text for text in texts if text))
    if len(values) > SEGMENT_VALUES:
        raise ConfigError(
            f"segments: {name!r} has {len(values)} values; name the {SEGMENT_VALUES} that matter most, the others are "
            f"counted as {semconv.OTHER}"
        )
    if has_two_spellings(values):
        raise ConfigError(f"segments: two values of {name!r} are the same number or boolean: {', '.join(values)}")
    return values


def _column_names(profile: ReferenceProfile | None, schema: Schema | None) -> ColumnNames:
    names = [*(() if profile is None else profile.columns), *(() if schema is None else schema.names)]
    sensitive = frozenset().union(*(part.sensitive for part in (profile, schema) if part is not None))
    return ColumnNames(names, sensitive)


def _feature(name: str, profile: ReferenceProfile | None, columns: ColumnNames) -> Feature | None:
    """Returns the categories of a column in the reference; None if it has none."""
    features: Sequence[Feature] = () if profile is None else profile.features
    declared = columns.find(name)
    return next((one for one in features if one.name == declared and one.kind == "category"), None)


def _column(
    name: str,
    values: tuple[str, ...] | None,
    *,
    is_fair: bool,
    columns: ColumnNames,
    feature: Feature | None,
) -> SegmentColumn:
    is_sensitive = columns.is_sensitive(name)
    if is_sensitive and not is_fair:
        raise ConfigError(
            f"segments: {name!r} is a sensitive column, or derived from one: declare it with fairness=({name!r},), and "
            "its values are exported only as 'group 1', 'group 2', ..."
        )
    if is_fair and values is None and (feature is None or not feature.categories):
        raise ConfigError(
            f"fairness: the groups of {name!r} are not known: pass segments={{{name!r}: (...)}} with its values, or a "
            "profile that has the column as categories"
        )
    if values is not None or feature is None or not feature.categories:
        return SegmentColumn(name, values, is_sensitive)
    if feature.sensitive:
        return SegmentColumn(name, None, True, feature)
    return SegmentColumn(name, feature.categories[:SEGMENT_VALUES], is_sensitive)
