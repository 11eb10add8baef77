"""Fits a reference in parts, on many machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_ml import _extras
from otel_ml.quality._feature import BINS, ProfileError
from otel_ml.quality._packed import pack, unpack
from otel_ml.quality._profile import ReferenceProfile

if TYPE_CHECKING:
    from otel_ml.quality.training import TrainingScan

FORMAT: Final = "otel-ml/profile-scan"
VERSION: Final = 1


class ProfileScan:
    """Training data in parts: add each part where it lies, send the bytes, merge them, and take the profile.

    The sum depends on the rows alone. Parts in any order and number have the same bytes, and the profile is that of
    `ReferenceProfile.fit` on all rows. A scan is small, however many rows it has: up to 32,768 distinct numbers of a
    column are kept exactly, more of them in as many buckets; texts are kept up to 1,000,000. So a scan contains values
    of the data, also of sensitive columns: keep it where the data may be. Only the profile leaves them out.

    Args:
        score: As in `ReferenceProfile.fit`, and so are all others. All scans that are merged need the same.
        label: Column with the true value.
        prediction: Column with the predicted class or number.
        task: What the model does; by default the labels decide. Name it if labels are sets and a part may have none.
        categorical: Columns to treat as categories.
        numeric: Columns to treat as numbers.
        keep: Columns to monitor although they look like an identifier or free text.
        periodic: Columns that follow the clock.
        sensitive: Columns whose values never leave the process with the profile.
        bins: Number of quantile bins, or a mapping of column to a number or to inner edges.
        importance: Weight of each column.
        text: Columns of texts.
        embeddings: Columns of vectors. Their distance takes a point that is known before the first part: give a mapping
            of column to vector, such as the mean of an earlier pass. Without it the distance is left out.
        images: Columns of images.

    Raises:
        ProfileError: The options contradict each other.
        ImportError: numpy is not installed, or cannot be imported.
    """

    def __init__(  # noqa: PLR0913
        self,
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
    ) -> None:
        _extras.load("numpy", "quality")
        from otel_ml.quality.training import FitOptions, TrainingScan

        self._scan: TrainingScan = TrainingScan(
            FitOptions(
                score,
                label,
                prediction,
                task,
                categorical,
                numeric,
                keep,
                periodic,
                sensitive,
                bins,
                importance,
                text,
                embeddings,
                images,
            )
        )

    @property
    def rows(self) -> int:
        """Rows added so far."""
        return self._scan.rows

    def add(self, frame: Mapping[Any, Any] | Any) -> ProfileScan:
        """Adds a part, of any kind that `ReferenceProfile.fit` takes, and returns the scan.

        A column that a part does not have is missing in its rows.

        Raises:
            ProfileError: The columns of the part differ in length, or its labels and outputs do not fit together.
        """
        self._scan.add(frame)
        return self

    def merge(self, other: ProfileScan) -> ProfileScan:
        """Adds the parts of another scan and returns this one; the other one stays as it is.

        Raises:
            ProfileError: The other scan has other options.
        """
        self._scan.merge(other._scan)
        return self

    def to_bytes(self) -> bytes:
        """Returns the scan as compressed JSON; equal scans have equal bytes if one version of zlib made them."""
        return pack(FORMAT, VERSION, self._scan.content())

    @classmethod
    def from_bytes(cls, packed: bytes) -> ProfileScan:
        """Reads what `to_bytes` returned.

        Raises:
            ProfileError: The bytes are damaged, or of something else, or of a newer version.
        """
        _extras.load("numpy", "quality")
        from otel_ml.quality.training import TrainingScan

        content = unpack(FORMAT, VERSION, packed)
        try:
            scan = TrainingScan.from_content(content)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ProfileError(f"the scan is damaged ({type(error).__name__}: {error})") from None
        found = cls.__new__(cls)
        vars(found)["_scan"] = scan
        return found

    def __reduce__(self) -> tuple[Callable[[bytes], ProfileScan], tuple[bytes]]:
        return type(self).from_bytes, (self.to_bytes(),)

    def profile(self) -> ReferenceProfile:
        """Returns the reference of all parts; warns as `ReferenceProfile.fit` does.

        Raises:
            ProfileError: A named column is in no part, or nothing can be monitored.
        """
        from otel_ml.quality.training import build_with_warnings

        return ReferenceProfile(*build_with_warnings(self._scan))
