"""The part of a reference profile that counting and comparing read.

A protocol, because `ReferenceProfile` itself offers to compare and would import them in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from otel_ml._figures.score_probabilities import Calibration
from otel_ml.quality._feature import Feature
from otel_ml.quality._performance import Performance
from otel_ml.quality.descriptors import DescribedColumn


class ProfileContent(Protocol):
    """The content of a `ReferenceProfile`, without fitting and files."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def features(self) -> tuple[Feature, ...]: ...
    @property
    def output(self) -> Feature | None: ...
    @property
    def label(self) -> Feature | None: ...
    @property
    def performance(self) -> Performance | None: ...
    @property
    def calibration(self) -> Calibration | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def sensitive(self) -> frozenset[str]: ...
    @property
    def skipped(self) -> Mapping[str, str]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def described(self) -> tuple[DescribedColumn, ...]: ...
    def all_features(self) -> tuple[Feature, ...]: ...
