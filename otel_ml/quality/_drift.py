"""Drift of a data set from a profile, in batches and constant memory, by the formulas of the recording rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_ml.quality._monitor import FeatureMonitor
from otel_ml.quality._profile import ReferenceProfile
from otel_ml.quality._schema import Schema
from otel_ml.quality._statistics import jensen_shannon_distance, psi, psi_null_quantile

THRESHOLD: Final = 0.2
"""PSI above which a feature has drifted: a shift of a normal feature by about 0.45 standard deviations."""
LEAST_VALUES: Final = 300
"""With fewer values nothing counts as drifted."""


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's distance from the reference."""

    name: str
    psi: float | None
    """None without values."""
    psi_null999: float | None
    """The PSI stays below it in 999 of 1,000 windows of this size without drift."""
    jensen_shannon: float | None
    """Distance, base 2, in 0..1."""
    count: int
    missing: int
    drifted: bool
    """PSI above the threshold and above its noise, with enough values."""


class DriftScan:
    """Counts a data set and compares it with the reference: call `add` for each batch, then `features`."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self._monitor = FeatureMonitor({}, profile=profile, schema=Schema(()))
        self._has_output = False
        self.rows = 0

    def add(
        self, columns: Mapping[str, Sequence[object]], rows: int, *, output: Sequence[object] | None = None
    ) -> None:
        """Counts a batch.

        Args:
            columns: Values by column.
            rows: Rows of the batch.
            output: The model's output on these rows, as in the score column of the profile.
        """
        names = self._monitor.names.plan(tuple(columns)).names
        found = {names.get(name, name): values for name, values in columns.items()}
        self._monitor.observe_batch(found, output, output, rows)
        self._has_output |= output is not None
        self.rows += rows

    def features(self, threshold: float = THRESHOLD) -> list[FeatureDrift]:
        """Returns the features of the profile, the most drifted first; the output only if it was given."""
        cells = self._monitor.cells
        found = []
        for slot in self._monitor.layout.all_slots():
            feature = slot.feature
            if feature is None or (slot is self._monitor.layout.output and not self._has_output):
                continue
            counts = cells.bins[slot.base : slot.base + len(feature.labels)]
            count, distance = sum(counts), psi(counts, feature.shares)
            noise = psi_null_quantile(len(counts), count, feature.size)
            is_loud = distance is not None and distance > threshold and (noise is None or distance > noise)
            found.append(
                FeatureDrift(
                    name=feature.name,
                    psi=distance,
                    psi_null999=noise,
                    jensen_shannon=jensen_shannon_distance(counts, feature.shares),
                    count=count,
                    missing=cells.missing[slot.index],
                    drifted=is_loud and count >= LEAST_VALUES,
                )
            )
        return sorted(found, key=lambda drift: -(drift.psi or 0.0))
