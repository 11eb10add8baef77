"""The drift of a data set in parts, on many machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_ml._verdicts import PSI_LIMIT
from otel_ml.quality._data_sets import count_frame
from otel_ml.quality._drift import DriftCounts
from otel_ml.quality._feature import ProfileError
from otel_ml.quality._packed import pack, unpack
from otel_ml.quality._profile import ReferenceProfile
from otel_ml.quality.comparison import By, Comparison, FeatureDrift

FORMAT: Final = "otel-ml/drift-scan"
VERSION: Final = 1


class DriftScan:
    """Counts a data set in parts and compares it with the reference.

    Add each part where it lies, send the bytes, merge them, and compare. Only counts and the names of new categories
    are kept. They depend on the rows alone: parts in any order and number have the same bytes.

    Args:
        profile: The reference. Only scans of one profile add up.
        by: Also judges each ``hour``, ``day`` or ``week`` by itself.
    """

    def __init__(self, profile: ReferenceProfile, *, by: By | None = None) -> None:
        self.profile = profile
        self._counts = DriftCounts(profile, by=by)

    @property
    def by(self) -> By | None:
        """The period that is judged by itself."""
        return self._counts.by

    @property
    def rows(self) -> int:
        """Rows counted so far."""
        return self._counts.rows

    def add(
        self,
        frame: Mapping[Any, Any] | Any,
        *,
        score: Any = None,
        label: Any = None,
        time: Any = None,
    ) -> DriftScan:
        """Counts a part, of any kind that `ReferenceProfile.fit` takes, and returns the scan.

        Args:
            frame: The rows.
            score: Column with the model's output on these rows; without it the output is not compared.
            label: Column with the true value.
            time: Column with the moment of each row, for `by`; it can be left out if only one column holds datetimes.

        Raises:
            ProfileError: A named column does not exist, the columns differ in length, or the moments are unclear.
        """
        count_frame(self._counts, frame, score=score, label=label, time=time)
        return self

    def merge(self, other: DriftScan) -> DriftScan:
        """Adds the counts of another scan and returns this one; the other one stays as it is.

        Raises:
            ProfileError: The other scan is of another profile, or split by another period.
        """
        self._counts.merge(other._counts)
        return self

    def features(self, threshold: float = PSI_LIMIT) -> list[FeatureDrift]:
        """Returns the features of the profile, the most severe first; output and label only if they were given."""
        return self._counts.features(threshold)

    def compare(self, threshold: float = PSI_LIMIT) -> Comparison:
        """Returns the verdicts on all features, and on each period."""
        return self._counts.compare(threshold)

    def to_bytes(self) -> bytes:
        """Returns the scan as compressed JSON; equal scans have equal bytes if one version of zlib made them."""
        return pack(FORMAT, VERSION, self._counts.content())

    @classmethod
    def from_bytes(cls, packed: bytes, profile: ReferenceProfile) -> DriftScan:
        """Reads what `to_bytes` returned.

        Args:
            packed: The bytes.
            profile: The reference that the rows were counted with.

        Raises:
            ProfileError: The bytes are damaged, of a scan of another profile, or of a newer version.
        """
        content = unpack(FORMAT, VERSION, packed)
        if content.get("profile") != profile.id:
            raise ProfileError(f"the scan is of the profile {content.get('profile')}, and not of {profile.id}")
        found = cls(profile, by=content.get("by"))
        try:
            found._counts.read_content(content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ProfileError(f"the scan is damaged ({type(error).__name__}: {error})") from None
        return found

    def __reduce__(self) -> tuple[Callable[[bytes, ReferenceProfile], DriftScan], tuple[bytes, ReferenceProfile]]:
        return type(self).from_bytes, (self.to_bytes(), self.profile)
