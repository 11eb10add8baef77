"""A series: one attribute set that is exported with another value at every collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias


class ObservedSeries:
    """The attributes of one series, made once by the room that counts it.

    The engine recognises a series by its identity: it encodes the attributes once, and knows what it has exported.
    """

    __slots__ = ("__weakref__", "attributes", "encoded")

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self.encoded = b""
        """The attributes in a data point of OTLP; set by the engine's encoder."""


Observed: TypeAlias = tuple[ObservedSeries, float]
"""A series and its value now."""
