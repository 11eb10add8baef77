"""What counting and comparing need of a reference profile, which itself offers to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from otel_ml.quality._feature import Feature


class ProfileContent(Protocol):
    """A `ReferenceProfile` without its making and its file."""

    @property
    def id(self) -> str: ...
    @property
    def features(self) -> tuple[Feature, ...]: ...
    @property
    def output(self) -> Feature | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def sensitive(self) -> frozenset[str]: ...
    @property
    def skipped(self) -> Mapping[str, str]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def all_features(self) -> tuple[Feature, ...]: ...
