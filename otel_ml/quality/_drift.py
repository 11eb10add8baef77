"""Drift of a data set from a profile, in batches and constant memory, by the formulas of the recording rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_ml import semconv
from otel_ml._verdicts import PSI_LIMIT, ShareFigure, judge
from otel_ml.quality._cells import ABSENT, Slot
from otel_ml.quality._feature import Feature
from otel_ml.quality._monitor import FeatureMonitor
from otel_ml.quality._profile import ReferenceProfile

_SEVERITY: Final = {finding: rank for rank, finding in enumerate(semconv.FINDINGS)}


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of a data set compared with the reference."""

    name: str
    verdict: str
    """The most severe finding; ``ok`` or ``too_few`` without one."""
    findings: tuple[str, ...]
    """What is wrong, of `semconv.FINDINGS`, the most severe first."""
    psi: float | None
    """None without values."""
    psi_noise: float | None
    """The PSI stays below it in 999 of 1,000 windows of this size without drift."""
    jensen_shannon: float | None
    """Distance, base 2, in 0..1."""
    count: int
    """Values in bins."""
    missing: int
    invalid: int
    """Values of another type, or infinite ones."""
    shares: Mapping[str, ShareFigure]
    """Share, expected share and noise of ``missing``, ``invalid``, ``unseen`` and ``out_of_range`` values."""

    @property
    def drifted(self) -> bool:
        """Whether the distribution differs from that of the reference."""
        return semconv.DRIFTED in self.findings


class DriftScan:
    """Counts a data set and compares it with the reference: call `add` for each batch, then `features`."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self._monitor = FeatureMonitor({}, profile=profile)
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
        absent = dict.fromkeys((slot.name for slot in self._monitor.layout.slots), ABSENT)
        found: dict[str, Any] = {**absent, **{names.get(name, name): values for name, values in columns.items()}}
        self._monitor.observe_batch(found, output, output, rows)
        self._has_output |= output is not None
        self.rows += rows

    def features(self, threshold: float = PSI_LIMIT) -> list[FeatureDrift]:
        """Returns the features of the profile, the most severe first; the output only if it was given."""
        layout = self._monitor.layout
        slots = [slot for slot in layout.all_slots() if slot is not layout.output or self._has_output]
        found = [self._compare(slot, slot.feature, threshold) for slot in slots if slot.feature is not None]
        return sorted(found, key=lambda drift: (_SEVERITY.get(drift.verdict, len(_SEVERITY)), -(drift.psi or 0.0)))

    def _compare(self, slot: Slot, feature: Feature, threshold: float) -> FeatureDrift:
        window = self._monitor.cells.window(slot, feature)
        judgement = judge(feature.reference, window, psi_limit=threshold)
        return FeatureDrift(
            name=feature.name,
            verdict=judgement.verdict,
            findings=judgement.findings,
            psi=judgement.psi,
            psi_noise=judgement.psi_noise,
            jensen_shannon=judgement.jensen_shannon,
            count=int(window.values),
            missing=int(window.found[semconv.MISSING]),
            invalid=int(window.found[semconv.INVALID]),
            shares=judgement.shares,
        )
