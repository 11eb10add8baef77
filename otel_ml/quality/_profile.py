"""The training reference: binned features with their shares."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from otel_ml import _extras, semconv
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._verdicts import PSI_LIMIT
from otel_ml.quality._feature import BINS, Feature, ProfileError
from otel_ml.quality._performance import Performance
from otel_ml.quality._profile_file import find_id, is_intact, read_content, read_fields, write_profile
from otel_ml.quality._saved_windows import add_window, check_name
from otel_ml.quality._skipped import describe_skipped
from otel_ml.quality.descriptors import DescribedColumn

if TYPE_CHECKING:
    from otel_ml.quality.comparison import By, Comparison


@dataclass(frozen=True, repr=False)
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
    """All columns of the frame except score, prediction and label, in order, including skipped ones. They name the
    values of a row without names. Empty for a file of format 1."""
    label: Feature | None = None
    """The true value, the feature ``__label__``."""
    performance: Performance | None = None
    """How well the model did on the reference; None without a label, or without score and prediction."""
    calibration: Calibration | None = None
    """The probability behind each score by these labels; None without labels or if scores are not probabilities."""
    described: tuple[DescribedColumn, ...] = ()
    """Columns of texts, embeddings and images, whose descriptors are features in their place."""
    name: str = semconv.TRAINING
    """What the data is, such as ``may``; the attribute ``ml.reference`` if it is not ``training``."""

    def __post_init__(self) -> None:
        check_name(self.name)

    @classmethod
    def fit(  # noqa: PLR0913
        cls,
        frame: Mapping[Any, Any] | Any,
        score: Any = None,
        label: Any = None,
        *,
        prediction: Any = None,
        task: str | None = None,
        categorical: Collection[Any] = (),
        numeric: Collection[Any] = (),
        keep: Collection[Any] = (),
        periodic: Collection[Any] = (),
        sensitive: Collection[Any] = (),
        bins: int | Mapping[Any, Any] = BINS,
        importance: Mapping[Any, float] | Any = None,
        text: Collection[Any] = (),
        embeddings: Collection[Any] | Mapping[Any, Any] = (),
        images: Collection[Any] = (),
        name: str = semconv.TRAINING,
    ) -> ReferenceProfile:
        """Creates the reference from the training data.

        A number gets up to 10 quantile bins, and a value that holds a tenth of the data a bin of its own. A column of
        few distinct values gets a bin for each: whole numbers are categories, fractions stay numbers. A text gets one
        for each of the 20 most frequent categories; a category seen fewer than 20 times is ``__other__``. Identifiers,
        free text, dates and columns beyond the 32 most important are left out with a warning that says why.

        Args:
            frame: What `Model.record` takes as a batch: a frame of pandas, polars or arrow, an array, a mapping of
                column to values, or a list of rows.
            score: Column with the model's output on these rows: the probability of the positive class, the predicted
                number or the predicted class. Without output columns the output is not compared. With the probability
                of each class in a column of its own, a mapping of class to column; of two the last is the positive one.
            label: Column with the true value; never a feature. With it the profile keeps the performance of the model
                on these rows, and the distribution of the label. Rows without a label count for the features only.
            prediction: Column with the predicted class or number. Without it a probability above 0.5, or the largest
                one, decides.
            task: ``binary``, ``multiclass``, ``multilabel``, ``regression`` or ``ranking``. By default labels that are
                sets are multilabel; numbers with fractions, or more than 25 different ones, are a regression; two
                classes are binary and more are multiclass.
            categorical: Columns to treat as categories although they hold numbers.
            numeric: Columns to treat as numbers although they have few distinct values, look like an identifier, or
                hold texts; values that are not numbers count as invalid.
            keep: Columns to monitor although they look like an identifier or free text.
            periodic: Columns that follow the clock, such as the hour: they differ in every window and never drift.
            sensitive: Columns whose bin labels are opaque and whose values never leave the process.
            bins: Number of quantile bins, or a mapping of column to a number or to inner edges.
            importance: Weight of each column, a mapping or a Series; the 32 heaviest are kept.
            text: Columns of texts. Features such as ``review.length`` describe them; no text is kept.
            embeddings: Columns of vectors, described by their size, norm, projections and the distance to the mean of
                this data. A mapping of column to vector gives another point than the mean.
            images: Columns of images, as arrays or of PIL, described by their size, brightness, contrast and sharpness.
            name: What the data is if it is not the training data, such as ``may``.

        Raises:
            ProfileError: A named column does not exist, the options of a column contradict each other, the columns
                differ in length, label and output do not fit together, or nothing can be monitored.
            ImportError: numpy is not installed, or cannot be imported.
        """
        _extras.load("numpy", "quality")  # the modules below import it
        from otel_ml.quality.training import FitOptions, TrainingPart, build_with_warnings

        options = FitOptions(
            score=score,
            label=label,
            prediction=prediction,
            task=task,
            categorical=categorical,
            numeric=numeric,
            keep=keep,
            periodic=periodic,
            sensitive=sensitive,
            bins=bins,
            importance=importance,
            text=text,
            embeddings=embeddings,
            images=images,
        )
        return cls(*build_with_warnings(TrainingPart(frame, options, is_whole=True)), name=name)

    def __repr__(self) -> str:
        """Returns a table: each feature with its kind, bins and share of missing values, and the skipped columns."""
        features = self.all_features()
        width = max(map(len, ("feature", *(feature.name for feature in features))))
        named = "" if self.name == semconv.TRAINING else f" {self.name!r}"
        lines = [f"ReferenceProfile{named} {self.id} of {self.rows:,} rows"]
        lines += [f"  {'feature':<{width}}  kind      bins  missing"] if features else []
        for feature in features:
            share = f"{feature.missing / self.rows * 100:.1f} %" if self.rows else "-"
            lines.append(f"  {feature.name:<{width}}  {feature.kind:<8}  {len(feature.labels):>4}  {share:>7}")
        lines += [f"  not monitored: {line}" for line in describe_skipped(self.skipped)]
        lines += [] if self.performance is None else [f"  {self.performance}"]
        return "\n".join(lines)

    def compare(  # noqa: PLR0913
        self,
        frame: Mapping[str, Sequence[object]] | Any,
        *,
        score: str | None = None,
        label: str | None = None,
        prediction: str | None = None,
        by: By | None = None,
        time: str | None = None,
        threshold: float = PSI_LIMIT,
    ) -> Comparison:
        """Compares a data set with the reference.

        If the reference has the performance of the model, and label and output are named, that on these rows is found.

        Args:
            frame: What `fit` takes.
            score: Column with the model's output on these rows; without it the output is not compared.
            label: Column with the true value; its distribution is judged as that of the output, over the rows that
                have one.
            prediction: Column with the predicted class or number, for the performance; see `fit`.
            by: Also judges each ``hour``, ``day`` or ``week`` by itself.
            time: Column with the moment of each row, for `by`; it can be left out if only one column holds datetimes.
            threshold: PSI above which a feature has drifted.

        Raises:
            ProfileError: A named column does not exist, the columns differ in length, or the moments are unclear.
        """
        from otel_ml.quality._data_sets import count_frame
        from otel_ml.quality._drift import DriftCounts

        counts = count_frame(DriftCounts(self, by=by), frame, score=score, label=label, time=time)
        found = counts.compare(threshold)
        if self.performance is None or label is None or (score is None and prediction is None):
            return found
        performance = self._measure(frame, score, label, prediction)
        return replace(found, performance=performance, trained=self.performance)

    def _measure(self, frame: Any, score: Any, label: Any, prediction: Any) -> Performance | None:
        """Returns the performance on other rows; None if their labels and outputs do not fit the task."""
        from otel_ml.quality._named_columns import NamedColumns

        data = NamedColumns(frame, self.columns)
        wanted = {data.name(name) for name in (score, label, prediction) if name is not None}
        columns = {name: values for name, values in data.columns.items() if name in wanted}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about columns that are not monitored
            try:
                task = None if self.performance is None else self.performance.task
                return type(self).fit(columns, score, label, prediction=prediction, task=task).performance
            except ProfileError:
                return None

    def with_window(self, name: str, data: Any, *, score: Any = None, label: Any = None) -> ReferenceProfile:
        """Returns the reference with a saved window beside its own data: another data set, counted into its bins.

        A model with this profile exports the window as the reference of that name. `id`, bins and verdicts stay.

        Args:
            name: What the data is, such as ``may``; a window of this name is replaced.
            data: What `fit` takes, or files.
            score: Column with the model's output on these rows; without it the window has no output.
            label: Column with the true value.

        Raises:
            ProfileError: A named column does not exist, no row has a value of the profile's columns, or the name is
                empty or that of another reference.
            DataFileError: A file cannot be read, has no rows or no such column.
        """
        from otel_ml.quality._data_sets import count_frame, scan_files
        from otel_ml.quality._drift import DriftCounts
        from otel_ml.quality.files import DataFiles

        check_name(name)
        if name in {self.name, semconv.TRAINING}:
            raise ProfileError(f"{name!r} is the name of the profile's own data; choose another name for the window")
        if isinstance(data, DataFiles):
            counts = scan_files(self, data, score=score, label=label)
        else:
            counts = count_frame(DriftCounts(self), data, score=score, label=label)
        features, output, label_feature = add_window(name, counts.bins(), self.features, self.output, self.label)
        return replace(self, features=features, output=output, label=label_feature)

    def merge(self, other: ReferenceProfile) -> ReferenceProfile:
        """Returns a reference with the counts of both; neither changes.

        Both need the same bins, as edges that are given make them, or the same categories. Where bins are to be chosen
        from all rows, use `ProfileScan`. Of a category with rare values the expected share of new ones is at most too
        high: a value that both references have once counts twice.

        Raises:
            ProfileError: The bins or columns differ, or a reference has performance figures, which do not add up.
        """
        from otel_ml.quality._merge import merge_features

        merged = merge_features(self, other)
        found = {feature.name: feature for feature in merged}
        return replace(
            self,
            features=tuple(found[feature.name] for feature in self.features),
            output=None if self.output is None else found[self.output.name],
            label=None if self.label is None else found[self.label.name],
            rows=self.rows + other.rows,
            sensitive=self.sensitive | other.sensitive,
            skipped={**other.skipped, **self.skipped},
        )

    @cached_property
    def id(self) -> str:
        """12 hex digits that change with the content; the attribute ``ml.profile.id``.

        Keyed digests are left out, so that replicas that fit the same data have the same id.
        """
        return find_id(self)

    def all_features(self) -> tuple[Feature, ...]:
        """Returns the features and, last, output and label."""
        return (*self.features, *(one for one in (self.output, self.label) if one is not None))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the reference as JSON; a file is replaced atomically, a device or pipe is written to."""
        write_profile(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReferenceProfile:
        """Reads a reference written by `save`.

        Raises:
            ProfileError: The file is missing, not such a file, of a newer format, damaged or edited.
        """
        content = read_content(path)
        try:
            profile = cls(**read_fields(content))
            is_whole = is_intact(profile, content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise ProfileError(f"{path} is damaged ({type(error).__name__}: {error}): fit it again") from None
        if not is_whole:
            raise ProfileError(
                f"{path} was edited or damaged: its content does not have the id or checksum it states; fit it again"
            )
        return profile
