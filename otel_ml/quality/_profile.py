"""The training reference: binned features with their shares, in a small JSON file."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_ml import _extras, semconv
from otel_ml._verdicts import PSI_LIMIT
from otel_ml.quality._bloom import BloomFilter
from otel_ml.quality._feature import SALT_LENGTH, Feature, ProfileError

if TYPE_CHECKING:
    from otel_ml.quality.comparison import By, Comparison

FORMAT: Final = "otel-ml/reference-profile"
VERSION: Final = 3
_READABLE: Final = (1, 2, VERSION)
"""Formats that `load` can read; format 1 does not list the columns of the frame."""
_FIELDS: Final = tuple(one.name for one in fields(Feature))
_OPTIONAL: Final = frozenset(("infinite", "invalid", "periodic", "rare_filter", "salt", "singletons", "spelled"))
"""Fields that are left out if they say nothing; formats 1 and 2 have only the salt of these."""
_MOST_ROWS: Final = 2**63 - 1
_KEYED: Final = frozenset(("salt", "categories", "rare", "rare_filter"))
"""Fields that differ between two fits of the same sensitive data."""


@dataclass(frozen=True)
class ReferenceProfile:
    """Counts of the training data in fixed bins; contains no rows.

    For a sensitive column it contains the name, the exact counts of bins and of missing values, the edges of a number
    rounded to two significant digits (more only where two bins would become one), and, for categories, digests under a
    random key. The key is in the same file: anyone who has the file can still try values one by one.
    """

    features: tuple[Feature, ...]
    """The monitored columns, the most important first."""
    output: Feature | None
    """The model's own output, the feature ``__prediction__``."""
    rows: int
    """Rows of the reference."""
    sensitive: frozenset[str] = frozenset()
    """Columns whose values never leave the process, monitored or not."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Columns that are not monitored, with the reason."""
    columns: tuple[str, ...] = ()
    """All columns of the frame except score and label, in order, including skipped ones. They name the values of a row
    without names. Empty for a file of format 1."""

    @classmethod
    def fit(  # noqa: PLR0913
        cls,
        frame: Mapping[str, Sequence[object]] | Any,
        score: str | None = None,
        label: str | None = None,
        *,
        categorical: Collection[str] = (),
        sensitive: Collection[str] = (),
        importance: Mapping[str, float] | None = None,
    ) -> ReferenceProfile:
        """Creates the reference from the training data.

        A numeric column gets up to 10 quantile bins. One with few distinct values, and a text column, get one bin for
        each of the 20 most frequent categories; a category seen fewer than 20 times is ``__other__``. Identifiers, free
        text, dates and columns beyond the 32 most important are left out with a warning that says why.

        Args:
            frame: A pandas DataFrame, or a mapping of column to values.
            score: Column with the model's output on these rows; without it the output is not compared.
            label: Column with the true value; never a feature.
            categorical: Columns to treat as categories although they hold numbers.
            sensitive: Columns whose bin labels are opaque and whose values never leave the process.
            importance: Weight of each column; the 32 heaviest are kept.

        Raises:
            ProfileError: A named column does not exist, the columns differ in length, or nothing can be monitored.
            ImportError: numpy is not installed, or cannot be imported.
        """
        from otel_ml.quality._fit import FEATURES, RefusedError, by_importance, fit_feature, fit_output

        _extras.load("numpy", "quality")
        rows = _check_frame(frame, (score, label, *categorical, *sensitive, *(importance or ())))
        columns = tuple(name for name in frame if name not in {score, label})
        names = by_importance(columns, importance)
        features: list[Feature] = []
        skipped: dict[str, str] = {}
        for name in names:
            if len(features) == FEATURES:
                skipped[name] = f"only {FEATURES} features are monitored; give `importance` to choose them"
                continue
            try:
                is_sensitive = name in sensitive
                features.append(fit_feature(name, frame[name], categorical=name in categorical, sensitive=is_sensitive))
            except RefusedError as reason:
                skipped[name] = str(reason)
        try:
            output = None if score is None else fit_output(frame[score], sensitive=score in sensitive)
        except RefusedError as reason:
            raise ProfileError(f"score column {score!r} cannot be binned: {reason}") from None
        if not features and output is None:
            raise ProfileError(f"no column can be monitored: {_reasons(skipped) or 'the frame has none'}")
        if skipped:
            warnings.warn(f"not monitored: {_reasons(skipped)}", stacklevel=2)
        return cls(tuple(features), output, rows, frozenset(sensitive), skipped, columns)

    def compare(
        self,
        frame: Mapping[str, Sequence[object]] | Any,
        *,
        score: str | None = None,
        by: By | None = None,
        time: str | None = None,
        threshold: float = PSI_LIMIT,
    ) -> Comparison:
        """Compares a data set with the reference.

        Args:
            frame: What `fit` takes.
            score: Column with the model's output on these rows; without it the output is not compared.
            by: Also judges each ``hour``, ``day`` or ``week`` by itself.
            time: Column with the moment of each row, for `by`; it can be left out if only one column holds datetimes.
            threshold: PSI above which a feature has drifted.

        Raises:
            ProfileError: A named column does not exist, the columns differ in length, or the moments are unclear.
        """
        from otel_ml.quality._data_sets import compare_frame

        return compare_frame(self, frame, score=score, by=by, time=time).compare(threshold)

    @cached_property
    def id(self) -> str:
        """12 hex digits that change with the content; the attribute ``ml.profile.id``.

        Keyed digests are left out, so that replicas that fit the same data have the same id.
        """
        return _hash(self._content(_identifying), 6)

    def all_features(self) -> tuple[Feature, ...]:
        """Returns the features and, last, the output."""
        return self.features if self.output is None else (*self.features, self.output)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the reference as JSON; a file is replaced atomically, a device or pipe is written to."""
        content = self._content()
        head = {"format": FORMAT, "format_version": VERSION, "id": self.id, "checksum": _hash(content, 8)}
        target = Path(path)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        text = json.dumps({**head, **content}, indent=1) + "\n"
        if target.exists() and not target.is_file():  # replacing /dev/null would break it for the whole system
            target.write_text(text, encoding="utf-8")
            return
        partial = target.with_name(f"{target.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReferenceProfile:
        """Reads a reference written by `save`.

        Raises:
            ProfileError: The file is missing, not such a file, of a newer format, damaged or edited.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ProfileError(f"cannot read the profile {path}: {error.strerror}") from None
        except ValueError as error:
            raise ProfileError(f"{path} is not JSON: {error}") from None
        except RecursionError:
            raise ProfileError(f"{path} is nested too deeply to be a reference profile") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ProfileError(f"{path} is not a reference profile; `otel-ml profile` writes one")
        if content.get("format_version") not in _READABLE:
            raise ProfileError(
                f"{path} has profile format {content.get('format_version')!r}, this version reads up to {VERSION}: "
                "fit it again or update otel-ml"
            )
        try:
            profile = cls(
                tuple(_feature(entry) for entry in content["features"]),
                None if content["output"] is None else _feature(content["output"]),
                int(content["rows"]),
                frozenset(str(name) for name in content["sensitive"]),
                {str(name): str(reason) for name, reason in content["skipped"].items()},
                tuple(str(name) for name in content.get("columns", ())),
            )
            is_whole = profile._is_whole(content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise ProfileError(f"{path} is damaged ({type(error).__name__}: {error}): fit it again") from None
        if not is_whole:
            raise ProfileError(
                f"{path} was edited or damaged: its content does not have the id or checksum it states; fit it again"
            )
        return profile

    def _is_whole(self, content: Mapping[str, Any]) -> bool:
        names = [feature.name for feature in self.all_features()]
        if len(set(names)) < len(names):
            raise ValueError("a feature is there twice")
        has_checksum = content["format_version"] > 1
        is_same = not has_checksum or _hash(self._content(), 8) == content.get("checksum")
        return is_same and self.id == content.get("id")

    def _content(self, kept: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> dict[str, Any]:
        # a file of format 1 has no columns, and its id was made without them
        return {
            "rows": self.rows,
            "sensitive": sorted(self.sensitive),
            "skipped": dict(self.skipped),
            **({"columns": list(self.columns)} if self.columns else {}),
            "features": [kept(_entry(feature)) for feature in self.features],
            "output": None if self.output is None else kept(_entry(self.output)),
        }


def _reasons(skipped: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in skipped.items())


def _check_frame(frame: Any, named: Sequence[str | None]) -> int:
    columns = list(frame)
    unnamed = [column for column in columns if not isinstance(column, str)]
    if unnamed:
        raise ProfileError(f"column names must be texts, not {unnamed[0]!r}")
    absent = [name for name in named if name is not None and name not in columns]
    if absent:
        raise ProfileError(f"no column {', '.join(map(repr, absent))}; there are {', '.join(columns) or 'none'}")
    if semconv.PREDICTION_FEATURE in columns:
        raise ProfileError(f"a column cannot be called {semconv.PREDICTION_FEATURE}: that is the output; give `score`")
    lengths = {len(frame[column]) for column in columns}
    if len(lengths) > 1:
        raise ProfileError(f"the columns differ in length: {', '.join(map(str, sorted(lengths)))}")
    return lengths.pop() if lengths else 0


def _entry(feature: Feature) -> dict[str, Any]:
    values = {name: getattr(feature, name) for name in _FIELDS}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in _OPTIONAL or value
    }


def _identifying(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if "salt" not in entry or name not in _KEYED}


def _hash(content: dict[str, Any], size: int) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def _feature(entry: Mapping[str, Any]) -> Feature:
    values: dict[str, Any] = {
        name: tuple(entry[name]) if isinstance(entry[name], list) else entry[name]
        for name in _FIELDS
        if name not in _OPTIONAL or name in entry
    }
    feature = Feature(**values)
    wrong = _flaw(feature)
    if wrong is not None:
        raise ValueError(f"feature {feature.name!r} {wrong}")
    return feature


def _flaw(feature: Feature) -> str | None:
    bins = len(feature.edges) + 1 if feature.kind == "number" else len(feature.categories) + 2
    bounds = [bound for bound in (feature.low, feature.high) if bound is not None]
    names = (feature.name, feature.kind, feature.salt, feature.rare_filter)
    texts = (*names, *feature.labels, *feature.categories, *feature.rare)
    if feature.rare_filter:
        BloomFilter.from_text(feature.rare_filter)
    if not all(isinstance(text, str) for text in texts) or len(feature.salt.encode()) > SALT_LENGTH:
        return "has names that are not text, or an unusable salt"
    if feature.kind not in {"number", "category"}:
        return f"is of the unknown kind {feature.kind!r}"
    if not len(feature.labels) == len(feature.counts) == len(set(feature.labels)) == bins:
        return f"has {bins} bins, {len(feature.labels)} labels and {len(feature.counts)} counts"
    counts = (*feature.counts, feature.missing, feature.invalid, feature.singletons)
    if any(type(count) is not int or not 0 <= count <= _MOST_ROWS for count in counts):
        return "has counts that are not whole numbers from 0 on"
    if not all(map(math.isfinite, (*feature.edges, *bounds))) or list(feature.edges) != sorted(set(feature.edges)):
        return "has edges that do not ascend"
    return None
