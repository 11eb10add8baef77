"""What the user says about training data, by the names in the data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from otel_ml._values import number
from otel_ml._values.kinds import sequence
from otel_ml.quality._feature import BINS, ProfileError
from otel_ml.quality._named_columns import ColumnLookup, GivenNames
from otel_ml.quality.descriptors import KINDS, MOST_DIMENSIONS, DescribedColumn, find_centroid
from otel_ml.quality.training._outcomes import Outcomes
from otel_ml.quality.training._overrides import Overrides, read_importance


@dataclass(frozen=True)
class FitOptions:
    """The options of `ReferenceProfile.fit`."""

    score: Any = None
    label: Any = None
    prediction: Any = None
    task: str | None = None
    categorical: Collection[Any] = ()
    numeric: Collection[Any] = ()
    keep: Collection[Any] = ()
    periodic: Collection[Any] = ()
    sensitive: Collection[Any] = ()
    bins: int | Mapping[Any, Any] = BINS
    importance: Mapping[Any, float] | Any = None
    text: Collection[Any] = ()
    embeddings: Collection[Any] | Mapping[Any, Any] = ()
    images: Collection[Any] = ()

    def outcomes(self, names: ColumnLookup) -> Outcomes:
        """Returns the columns that are no inputs."""
        return Outcomes.find(names, score=self.score, label=self.label, prediction=self.prediction)

    def overrides(self, names: ColumnLookup) -> Overrides:
        """Returns the options by column."""
        return Overrides(
            names,
            self.bins,
            categorical=self.categorical,
            numeric=self.numeric,
            keep=self.keep,
            periodic=self.periodic,
            sensitive=self.sensitive,
        )

    def described(self, names: ColumnLookup, columns: Mapping[str, Any] | None = None) -> tuple[DescribedColumn, ...]:
        """Returns the columns that are described.

        Args:
            names: Finds the columns.
            columns: All training data, in which the centroids that are not given are found; None for a part of it.
        """
        text, images = names.names(self.text), names.names(self.images)
        given = self._centroids(names)
        kinds = dict(zip(KINDS, (text, given.keys(), images), strict=True))
        twice = sorted((text & given.keys()) | (text & images) | (given.keys() & images))
        taken = sorted(self.outcomes(names).names.intersection((*text, *given, *images)))
        if twice or taken:
            raise ProfileError(f"{', '.join(twice or taken)}: a column is one of text, embeddings, images and outcomes")
        sensitive = names.names(self.sensitive)
        for name, centroid in given.items():
            if columns is not None and centroid is None and name not in sensitive:
                given[name] = find_centroid(columns[name])
        return tuple(
            DescribedColumn(name, kind, (given.get(name) or ()) if name not in sensitive else ())
            for kind, found in kinds.items()
            for name in sorted(found)
        )

    def _centroids(self, names: ColumnLookup) -> dict[str, tuple[float, ...] | None]:
        """Returns the given centroid of each embedding; None for one without."""
        if not isinstance(self.embeddings, Mapping):
            return dict.fromkeys(names.names(self.embeddings))
        return {names.name(given): _read_vector(given, vector) for given, vector in self.embeddings.items()}

    def weights(self, names: ColumnLookup) -> dict[str, float]:
        """Returns the importance by column."""
        return {} if self.importance is None else read_importance(names, self.importance)

    def content(self) -> dict[str, Any]:
        """Returns values of JSON, with columns as texts; raises a ProfileError for options that contradict."""
        names = GivenNames()
        outcomes, overrides = self.outcomes(names), self.overrides(names)
        described = {
            "text": sorted(names.names(self.text)),
            "embeddings": self._centroids(names),
            "images": sorted(names.names(self.images)),
        }
        return {
            "score": dict(outcomes.probabilities) or outcomes.score,
            "label": outcomes.label,
            "prediction": outcomes.prediction,
            "task": self.task,
            **{option: sorted(columns) for option, columns in overrides.columns.items()},
            "bins": overrides.bins,
            "importance": self.weights(names) or None,
            **{option: given for option, given in described.items() if given},
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> FitOptions:
        """Reads what `content` made; raises a TypeError or a ProfileError for anything else."""
        found = cls(**content)
        found.content()
        return found


def _read_vector(name: Any, given: Any) -> tuple[float, ...] | None:
    """Returns a centroid; raises a ProfileError for anything else."""
    if given is None:
        return None
    listed = sequence(given, MOST_DIMENSIONS)
    found = [number(one) for one in listed[0]] if listed is not None and listed[1] <= MOST_DIMENSIONS else []
    known = tuple(one for one in found if one is not None)
    if not known or len(known) < len(found):
        raise ProfileError(f"the centroid of {name!r} is not a vector of finite numbers")
    return known
